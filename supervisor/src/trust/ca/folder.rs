//! The files of an authority, and in which order they change.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::certificate::Certificate;
use super::super::crl::Crl;
use super::super::{files, pem};
use super::error::CaError;
use super::index::Index;
use super::issue::{self, Issuer};

/// A million certificates.
const MOST_BYTES: u64 = 512 * 1024 * 1024;
const INDEX: &str = "index.json";

/// A folder that is being made, beside where it will be. Removed unless it is finished.
pub(super) struct Staged {
    temporary: PathBuf,
    dir: PathBuf,
    finished: bool,
}

impl Staged {
    pub(super) fn new(dir: &Path) -> Result<Self, CaError> {
        let exists = || io::Error::from(io::ErrorKind::AlreadyExists);
        if dir.symlink_metadata().is_ok() {
            return Err(CaError::file("create", dir)(exists()));
        }
        let Some(name) = dir.file_name() else {
            return Err(CaError::file("create", dir)(exists()));
        };
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let temporary = dir.with_file_name(name);
        let make = |path: &Path| DirBuilder::new().mode(0o700).recursive(true).create(path);
        make(&temporary.join("certs")).map_err(CaError::file("create", &temporary))?;
        Ok(Self { temporary, dir: dir.to_owned(), finished: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.temporary
    }

    pub(super) fn finish(mut self) -> Result<(), CaError> {
        fs::rename(&self.temporary, &self.dir).map_err(CaError::file("create", &self.dir))?;
        self.finished = true;
        files::sync_folder(&self.dir).map_err(CaError::file("sync", &self.dir))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_dir_all(&self.temporary)
        {
            tracing::warn!("failed to remove {}: {error}", self.temporary.display());
        }
    }
}

/// One command at a time: flock(2) on a file that is never removed.
pub(super) fn lock(dir: &Path) -> Result<File, CaError> {
    let path = dir.join("lock");
    // Without a folder there is nothing to lock, and none is to appear.
    if !dir.join(INDEX).exists() {
        let absent = io::Error::from(io::ErrorKind::NotFound);
        return Err(CaError::file("read", &dir.join(INDEX))(absent));
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let lock = lock.map_err(CaError::file("open", &path))?;
    lock.lock().map_err(CaError::file("lock", &path))?;
    Ok(lock)
}

pub(super) fn read_index(dir: &Path) -> Result<Index, CaError> {
    let path = dir.join(INDEX);
    let bytes = files::read(&path, MOST_BYTES).map_err(CaError::file("read", &path))?;
    let content = |reason: String| CaError::Content { path: path.clone(), reason };
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|error| content(error.to_string()))?;
    match index.problem() {
        Some(problem) => Err(content(problem)),
        None => Ok(index),
    }
}

/// The moment at which a change is made.
pub(super) fn write_index(dir: &Path, index: &Index) -> Result<(), CaError> {
    let path = dir.join(INDEX);
    let text = serde_json::to_vec_pretty(index)
        .map_err(|error| CaError::Encode { reason: error.to_string() })?;
    files::write(&path, &text, 0o600).map_err(CaError::file("write", &path))
}

/// Writes something public.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CaError> {
    files::write(path, text.as_bytes(), 0o644).map_err(CaError::file("write", path))
}

pub(super) fn certificate(dir: &Path, name: &str) -> Result<Certificate, CaError> {
    let path = dir.join(format!("{name}.pem"));
    let bytes = files::read(&path, MOST_BYTES).map_err(CaError::file("read", &path))?;
    let parse = || {
        let der = pem::block(&bytes, pem::CERTIFICATE)?;
        Certificate::from_der(&der).map_err(|refusal| refusal.reason)
    };
    parse().map_err(|reason| CaError::Content { path, reason })
}

pub(super) fn crl_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.crl.pem"))
}

pub(super) fn crl(dir: &Path, name: &str) -> Result<Crl, CaError> {
    let path = crl_path(dir, name);
    let bytes = files::read(&path, MOST_BYTES).map_err(CaError::file("read", &path))?;
    let parse = || {
        let der = pem::block(&bytes, pem::CRL)?;
        Crl::from_der(&der).map_err(|refusal| refusal.reason)
    };
    parse().map_err(|reason| CaError::Content { path, reason })
}

/// The number of the list that is there, if one is.
pub(super) fn crl_number(dir: &Path, name: &str) -> Option<u64> {
    u64::from_str_radix(&crl(dir, name).ok()?.number(), 16).ok()
}

/// Makes an issuer's list with the next number.
pub(super) fn publish(
    dir: &Path,
    index: &mut Index,
    name: &str,
    issuer: &Issuer<'_>,
    now: SystemTime,
) -> Result<(), CaError> {
    let crl = next_crl(index, name, issuer, now)?;
    write(&crl_path(dir, name), &crl)
}

/// The same, the index first: from then on the list that is there counts as behind, until it is the new one.
pub(super) fn publish_after(
    dir: &Path,
    index: &mut Index,
    name: &str,
    issuer: &Issuer<'_>,
    now: SystemTime,
) -> Result<(), CaError> {
    let crl = next_crl(index, name, issuer, now)?;
    write_index(dir, index)?;
    write(&crl_path(dir, name), &crl)
}

fn next_crl(
    index: &mut Index,
    name: &str,
    issuer: &Issuer<'_>,
    now: SystemTime,
) -> Result<String, CaError> {
    let mut number = 0;
    for record in index.issuers.iter_mut().filter(|record| record.file == name) {
        record.crl_number += 1;
        number = record.crl_number;
    }
    let next = now + super::DAY * index.next_update_days;
    let crl = issue::crl(issuer, number, &index.revoked_by(name), now, next)?;
    Ok(pem::encode(pem::CRL, &crl))
}

/// Removes certificates and intermediates that the index does not name, and unfinished writes.
pub(super) fn sweep(dir: &Path, index: &Index) -> Result<(), CaError> {
    let issued: std::collections::BTreeSet<String> =
        index.certificates.iter().map(|issued| format!("{}.pem", issued.serial)).collect();
    let known = |name: &str| {
        index.issuers.iter().any(|issuer| {
            let rest = name.strip_prefix(issuer.file.as_str());
            rest.is_some_and(|rest| matches!(rest, ".pem" | ".key" | ".crl.pem"))
        })
    };
    for (folder, certs) in [(dir.to_owned(), false), (dir.join("certs"), true)] {
        let entries = fs::read_dir(&folder).map_err(CaError::file("read", &folder))?;
        for entry in entries {
            let entry = entry.map_err(CaError::file("read", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let unfinished = name.starts_with('.');
            let orphan = if certs {
                !issued.contains(&name)
            } else {
                name.starts_with("intermediate-") && !known(&name)
            };
            if (unfinished || orphan) && entry.path().is_file() {
                let path = entry.path();
                fs::remove_file(&path).map_err(CaError::file("remove", &path))?;
            }
        }
    }
    Ok(())
}
