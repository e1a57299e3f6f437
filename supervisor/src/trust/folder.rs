//! Signing and verifying a bundle's folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use policies::diag::Diagnostics;
use policies::digest::Digest;
use policies::manifest::Manifest;

use super::anchors::{TrustStore, TrustStoreError};
use super::certificate::Certificate;
use super::code::Refusal;
use super::signer::{SignError, Signer};
use super::verify::{Claim, Integrity, Verification, leaf_checks, verify};
use super::{cms, files};
use crate::bundle::{Bundle, BundleError};

/// The file list.
pub const MANIFEST: &str = "MANIFEST";
/// Its signature.
pub const SIGNATURE: &str = "MANIFEST.p7s";
/// More files than any extension has.
const MOST_FILES: usize = 100_000;
/// Of a file list with as many files.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A bundle that could not be signed or verified.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is none.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Its `extension.toml`, with every problem.
    #[error("{0}")]
    Manifest(Diagnostics),
    /// A file of it.
    #[error("failed to {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A file that no bundle may have.
    #[error("failed to list {}: {reason}", path.display())]
    Entry {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] SignError),
    /// The certificate would be refused wherever it is verified.
    #[error("failed to sign: {}", list(.0))]
    Certificate(Vec<Refusal>),
    /// What the host trusts.
    #[error(transparent)]
    Trust(#[from] TrustStoreError),
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl FolderError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bundle(error) => error.hint(),
            Self::Key(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Certificate(refusals) => {
                refusals.first().map(|refusal| refusal.remedy.to_owned())
            }
            Self::Entry { .. } => Some(
                "a bundle has plain files and folders only, named in A-Z a-z 0-9 . _ + -"
                    .to_owned(),
            ),
            Self::Manifest(_) | Self::File { .. } => None,
        }
    }

    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// What signing made.
#[derive(Clone, Debug)]
pub struct SignedFolder {
    /// SHA-256 of MANIFEST: the digest of the bundle.
    pub digest: Digest,
    /// Who signed.
    pub signer: Certificate,
    /// Files that are listed.
    pub files: usize,
}

/// Writes `MANIFEST` where it is missing or stale, and signs it.
///
/// `chain` is the signer's certificate, then its intermediates; a root that comes along is left out.
///
/// # Errors
/// [`FolderError`]; nothing is signed with a certificate that would be refused everywhere.
pub fn sign(
    dir: &Path,
    signer: &dyn Signer,
    chain: &[Certificate],
    now: SystemTime,
) -> Result<SignedFolder, FolderError> {
    let manifest = read_manifest(dir)?;
    if let Some(leaf) = chain.first() {
        let found = leaf_checks(leaf, now);
        if !found.is_empty() {
            return Err(FolderError::Certificate(found));
        }
    }
    let list = file_list(dir, &manifest)?;
    let path = dir.join(MANIFEST);
    if read_if_there(&path)?.as_deref() != Some(list.as_slice()) {
        files::write(&path, &list, 0o644).map_err(FolderError::file("write", &path))?;
    }
    let chain: Vec<Certificate> = chain
        .iter()
        .enumerate()
        .filter(|(index, certificate)| *index == 0 || certificate.subject() != certificate.issuer())
        .map(|(_, certificate)| certificate.clone())
        .collect();
    let p7s = cms::make(&list, signer, &chain, now)?;
    let path = dir.join(SIGNATURE);
    files::write(&path, &p7s, 0o644).map_err(FolderError::file("write", &path))?;
    let Some(signer) = chain.into_iter().next() else {
        return Err(SignError::WrongCertificate { subject: String::new() }.into());
    };
    let files = list.split(|byte| *byte == b'\n').count().saturating_sub(4);
    Ok(SignedFolder { digest: super::key::sha256(&list), signer, files })
}

/// A bundle that was verified.
#[derive(Clone, Debug)]
pub struct VerifiedFolder {
    /// Its `extension.toml`.
    pub manifest: Manifest,
    /// SHA-256 of MANIFEST.
    pub digest: Digest,
    /// Every check.
    pub verification: Verification,
}

/// Verifies a folder against what the host trusts.
///
/// A bundle without MANIFEST and signature is what its files are.
///
/// # Errors
/// [`FolderError`]; what is wrong with the bundle's signature is no error but a verdict.
pub fn verify_folder(
    dir: &Path,
    config: &Path,
    now: SystemTime,
) -> Result<VerifiedFolder, FolderError> {
    let manifest = read_manifest(dir)?;
    let anchors = TrustStore::load_for(config, &manifest.publisher)?;
    let listed = read_if_there(&dir.join(MANIFEST))?;
    let p7s = read_if_there(&dir.join(SIGNATURE))?;
    let actual = file_list(dir, &manifest);
    let integrity = match (&actual, &listed) {
        (Err(error @ FolderError::Entry { .. }), _) => {
            Integrity::Broken { code: "files-forbidden", reason: error.to_string() }
        }
        (Ok(_), None) if p7s.is_some() => Integrity::Broken {
            code: "manifest-missing",
            reason: "there is a signature, and not the MANIFEST that was signed".to_owned(),
        },
        (Ok(actual), Some(listed)) if actual != listed => {
            Integrity::Broken { code: "files-changed", reason: difference(listed, actual) }
        }
        _ => Integrity::Intact,
    };
    let actual = match actual {
        Err(FolderError::Entry { .. }) => Vec::new(),
        result => result?,
    };
    let list = listed.unwrap_or(actual);
    let version = manifest.version.to_string();
    let claim = Claim {
        id: &manifest.id,
        version: &version,
        publisher: &manifest.publisher,
        tier: manifest.tier,
    };
    let verification = verify(&list, p7s.as_deref(), &claim, integrity, &anchors, now);
    Ok(VerifiedFolder { digest: super::key::sha256(&list), manifest, verification })
}

fn read_manifest(dir: &Path) -> Result<Manifest, FolderError> {
    let bundle = Bundle::open(dir)?;
    let name = bundle.manifest_path().display().to_string();
    Manifest::parse(&name, bundle.manifest()).map_err(FolderError::Manifest)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FolderError> {
    let read = || {
        let file = File::options().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FolderError::file("read", path)(error)),
    }
}

/// What the first difference between two lists is.
fn difference(listed: &[u8], actual: &[u8]) -> String {
    let files = |list: &[u8]| -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(list);
        let fields = |line: &str| {
            let path = line.rsplit(' ').next().unwrap_or_default().to_owned();
            (path, line.to_owned())
        };
        text.lines().map(fields).collect()
    };
    let (listed, actual) = (files(listed), files(actual));
    let missing = listed.keys().find(|path| !actual.contains_key(*path));
    let added = actual.keys().find(|path| !listed.contains_key(*path));
    let changed = actual.iter().find(|(path, line)| listed.get(*path).is_some_and(|l| l != *line));
    match (missing, added, changed) {
        (Some(path), ..) => format!("{path} is listed and not there"),
        (None, Some(path), _) => format!("{path} is there and not listed"),
        (None, None, Some((path, _))) => format!("{path} is not as it is listed"),
        (None, None, None) => "MANIFEST is not written as it has to be".to_owned(),
    }
}

/// The list of the files that are there: format 1.
fn file_list(dir: &Path, manifest: &Manifest) -> Result<Vec<u8>, FolderError> {
    let mut found = BTreeMap::new();
    scan(dir, "", &mut found)?;
    let mut text =
        format!("sandboxctl-manifest 1\nid {}\nversion {}\n", manifest.id, manifest.version);
    for (path, (executable, size, digest)) in found {
        let mode = if executable { "0755" } else { "0644" };
        // Writing to a String cannot fail.
        writeln!(text, "{mode} {size} {digest} {path}").unwrap_or_default();
    }
    Ok(text.into_bytes())
}

type Found = BTreeMap<String, (bool, u64, Digest)>;

fn scan(dir: &Path, prefix: &str, found: &mut Found) -> Result<(), FolderError> {
    let error = |path: &Path, reason| FolderError::Entry { path: path.to_owned(), reason };
    for entry in fs::read_dir(dir).map_err(FolderError::file("read", dir))? {
        let entry = entry.map_err(FolderError::file("read", dir))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().filter(|name| plain(name));
        let name = name.ok_or_else(|| error(&path, "its name has other characters"))?;
        if prefix.is_empty() && matches!(name, MANIFEST | SIGNATURE) {
            continue;
        }
        let relative = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(FolderError::file("read", &path))?;
        if kind.is_dir() {
            scan(&path, &format!("{relative}/"), found)?;
            continue;
        }
        if !kind.is_file() {
            return Err(error(&path, "it is neither a file nor a folder"));
        }
        if found.len() >= MOST_FILES {
            return Err(error(&path, "the bundle has too many files"));
        }
        let file = hash(&path).map_err(FolderError::file("read", &path))?;
        let file = file.ok_or_else(|| error(&path, "it is a hard link"))?;
        found.insert(relative, file);
    }
    Ok(())
}

fn plain(name: &str) -> bool {
    let known =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    name.len() <= 100 && !name.starts_with('-') && name.bytes().all(known)
}

/// Whether it is executable, its size and its digest; `None` for one with a second name.
fn hash(path: &Path) -> io::Result<Option<(bool, u64, Digest)>> {
    let mut file = File::options().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Ok(None);
    }
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        size += u64::try_from(read).unwrap_or(u64::MAX);
        context.update(&buffer[..read]);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(Some((metadata.mode() & 0o111 != 0, size, Digest::from_bytes(digest))))
}
