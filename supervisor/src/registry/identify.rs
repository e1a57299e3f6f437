//! What a bundle is: its manifest, its bill of materials, and the digest over all its files.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use policies::decision::{Evaluated, Signer};
use policies::digest::Digest;
use policies::manifest::Manifest;
use policies::sbom::{self, Component};
use sha2::{Digest as _, Sha256};

use super::RegistryError;
use crate::bundle::Bundle;

/// The list of the files, and its signature: the two files that it does not name.
const LIST: &str = "MANIFEST";
const SIGNATURE: &str = "MANIFEST.p7s";

/// A bundle with more files, or more bytes, is refused.
const MAX_FILES: usize = 100_000;
const MAX_BYTES: u64 = 4 << 30;

/// What a bundle is.
#[derive(Debug)]
pub(super) struct Identified {
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) files: u64,
    pub(super) signer: Evaluated<Signer>,
    pub(super) sbom: Option<Vec<Component>>,
}

/// Looks at a bundle's folder. The digest is that of the list of its files, made here from the files themselves; a list that
/// the bundle brings must be the same. A signature is not verified here: [`Evaluated::NotEvaluated`].
pub(super) fn identify(path: &Path) -> Result<Identified, RegistryError> {
    let bundle = Bundle::open(path)?;
    let name = bundle.manifest_path().display().to_string();
    let manifest = Manifest::parse(&name, bundle.manifest()).map_err(RegistryError::Manifest)?;
    // The parser has taken it, so it is UTF-8.
    let manifest_text = String::from_utf8_lossy(bundle.manifest()).into_owned();
    let mut files = Vec::new();
    list(path, "", &mut files)?;
    files.sort();
    let mut text =
        format!("sandboxctl-manifest 1\nid {}\nversion {}\n", manifest.id, manifest.version);
    let mut size = 0;
    for name in &files {
        let file = path.join(name);
        let (mode, length, digest) = hash(&file, MAX_BYTES - size)?;
        size += length;
        // Writing to a String cannot fail.
        writeln!(text, "{mode:04o} {length} {digest} {name}").unwrap_or_default();
    }
    let brought = path.join(LIST);
    match fs::read(&brought) {
        Ok(bytes) if bytes != text.as_bytes() => {
            return Err(unusable(&brought, "it does not list the files as they are"));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(RegistryError::File { action: "read", path: brought, source: error });
        }
        _ => {}
    }
    let signer = if path.join(SIGNATURE).exists() {
        Evaluated::NotEvaluated
    } else {
        Evaluated::Found(Signer::Unsigned)
    };
    let digest = Digest::from_bytes(Sha256::digest(text.as_bytes()).into());
    let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
    let sbom = bill(path, &files)?;
    Ok(Identified { manifest, manifest_text, digest, size, files: count, signer, sbom })
}

fn unusable(path: &Path, reason: &str) -> RegistryError {
    RegistryError::File {
        action: "use",
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, reason),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::File { action, path, source }
}

fn list(top: &Path, within: &str, files: &mut Vec<String>) -> Result<(), RegistryError> {
    let dir = top.join(within);
    for entry in fs::read_dir(&dir).map_err(failed("read", &dir))? {
        let entry = entry.map_err(failed("read", &dir))?;
        let path = entry.path();
        let name = entry.file_name().into_string().ok().filter(|name| plain(name));
        let Some(name) = name else {
            return Err(unusable(&path, "names in bundles have letters, digits, and . _ + - only"));
        };
        let inner = if within.is_empty() { name } else { format!("{within}/{name}") };
        let kind = entry.file_type().map_err(failed("read", &path))?;
        if kind.is_dir() {
            list(top, &inner, files)?;
        } else if kind.is_file() {
            if inner != LIST && inner != SIGNATURE {
                files.push(inner);
            }
        } else {
            return Err(unusable(&path, "neither a file nor a folder"));
        }
        if files.len() > MAX_FILES {
            return Err(unusable(top, "more than 100000 files"));
        }
    }
    Ok(())
}

fn plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    name.len() <= 100 && !name.starts_with('-') && name.bytes().all(allowed)
}

fn open(path: &Path) -> Result<File, RegistryError> {
    File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(failed("open", path))
}

/// Mode as a list has it, length, digest.
fn hash(path: &Path, most: u64) -> Result<(u32, u64, Digest), RegistryError> {
    let mut file = open(path)?;
    let metadata = file.metadata().map_err(failed("read", path))?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(unusable(path, "not a plain file of one name"));
    }
    let mode = if metadata.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    let (mut sum, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).map_err(failed("read", path))?;
        if read == 0 {
            return Ok((mode, length, Digest::from_bytes(sum.finalize().into())));
        }
        sum.update(&buffer[..read]);
        length += u64::try_from(read).unwrap_or(u64::MAX);
        if length > most {
            return Err(unusable(path, "the bundle has more than 4 GiB"));
        }
    }
}

fn bill(path: &Path, files: &[String]) -> Result<Option<Vec<Component>>, RegistryError> {
    let Some(name) = sbom::FILES.iter().find(|name| files.iter().any(|file| file == *name)) else {
        return Ok(None);
    };
    let path: PathBuf = path.join(name);
    let most = u64::try_from(sbom::MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    open(&path)?.take(most + 1).read_to_end(&mut bytes).map_err(failed("read", &path))?;
    let components = sbom::parse(&bytes).map_err(|source| RegistryError::Sbom { path, source })?;
    Ok(Some(components))
}
