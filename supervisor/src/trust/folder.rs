//! Signing and verifying a bundle's folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use policies::diag::Diagnostics;
use policies::digest::Digest;
use policies::files::{FILE_LIST, MAX_LIST_BYTES, SIGNATURE};
use policies::manifest::Manifest;

use super::anchors::{TrustStore, TrustStoreError};
use super::bundle::vet;
use super::certificate::Certificate;
use super::code::Refusal;
use super::signer::{SignError, Signer};
use super::verify::{Claim, Integrity, Verification, leaf_checks, verify};
use super::{cms, files};
use crate::bundle::digest::{Hashed, sha256};
use crate::bundle::listed::{FilesError, scan};
use crate::bundle::{self, Bundle, BundleError, Purpose, open_folder};
use crate::state::Dirs;

/// One more than any list has: a longer file differs from every list.
const MOST_BYTES: u64 = MAX_LIST_BYTES as u64 + 1;

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
    /// Files that no bundle may have.
    #[error("failed to list the files: {0}")]
    Files(#[from] FilesError),
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
            Self::Files(error) => error.hint().map(str::to_owned),
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
    let (fd, manifest) = open(dir)?;
    if let Some(leaf) = chain.first() {
        let found = leaf_checks(leaf, now);
        if !found.is_empty() {
            return Err(FolderError::Certificate(found));
        }
    }
    let list = file_list(&fd, &manifest)?;
    let path = dir.join(FILE_LIST);
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
    Ok(SignedFolder { digest: sha256(&list), signer, files })
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

/// Verifies a bundle against what the host trusts: a folder, an `.sbx`, or `sha256:DIGEST` for one in the store.
///
/// # Errors
/// [`FolderError`]; what is wrong with the bundle's signature is no error but a verdict. An archive whose files are not
/// what its list says is an error: it is read no further.
pub fn verify_bundle(
    path: &Path,
    dirs: &Dirs,
    now: SystemTime,
) -> Result<VerifiedFolder, FolderError> {
    if path.is_dir() {
        return verify_folder(path, &dirs.config, now);
    }
    let bundle = Bundle::open(path, &dirs.state, Purpose::Look)?;
    let name = bundle.manifest_path().display().to_string();
    let manifest = Manifest::parse(&name, bundle.manifest()).map_err(FolderError::Manifest)?;
    let vetted = vet(&bundle, &manifest, &dirs.config, now)?;
    match (vetted.verification, bundle.statement()) {
        (Some(verification), Some(statement)) => {
            Ok(VerifiedFolder { digest: *statement.text.digest(), manifest, verification })
        }
        // Only a folder has no list.
        _ => verify_folder(path, &dirs.config, now),
    }
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
    let (fd, manifest) = open(dir)?;
    let anchors = TrustStore::load_for(config, &manifest.publisher)?;
    let listed = read_if_there(&dir.join(FILE_LIST))?;
    let p7s = read_if_there(&dir.join(SIGNATURE))?;
    let actual = file_list(&fd, &manifest);
    let integrity = match (&actual, &listed) {
        (Err(error @ FilesError::Faults(_)), _) => {
            Integrity::Broken { code: error.code(), reason: error.to_string() }
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
        Err(FilesError::Faults(_)) => Vec::new(),
        result => result?,
    };
    let list = Hashed::new(listed.unwrap_or(actual));
    let version = manifest.version.to_string();
    let claim = Claim {
        id: &manifest.id,
        version: &version,
        publisher: &manifest.publisher,
        tier: manifest.tier,
    };
    let verification = verify(&list, p7s.as_deref(), &claim, integrity, &anchors, now);
    Ok(VerifiedFolder { digest: *list.digest(), manifest, verification })
}

fn open(dir: &Path) -> Result<(OwnedFd, Manifest), FolderError> {
    let (fd, manifest) = open_folder(dir)?;
    let name = dir.join(bundle::MANIFEST).display().to_string();
    Ok((fd, Manifest::parse(&name, &manifest).map_err(FolderError::Manifest)?))
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

/// The list of the files that are there.
fn file_list(dir: &OwnedFd, manifest: &Manifest) -> Result<Vec<u8>, FilesError> {
    Ok(scan(dir.as_fd(), &manifest.id, &manifest.version)?.render())
}
