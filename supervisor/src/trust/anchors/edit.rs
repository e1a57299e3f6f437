//! Changing what the host trusts: each change is one file, written whole.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use policies::digest::Digest;

use super::{Denial, Denied, Publisher, TrustStore, TrustStoreError, is_publisher_id};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::{files, pem};

impl TrustStore {
    /// Trusts a root certificate.
    ///
    /// # Errors
    /// [`TrustStoreError::Unfit`] where it is none that could be one now.
    pub fn add_issuer(
        config: &Path,
        certificate: &Certificate,
        now: SystemTime,
    ) -> Result<PathBuf, TrustStoreError> {
        let unfit = |reason: String| TrustStoreError::Unfit {
            what: format!("the issuer {}", certificate.subject()),
            reason,
        };
        certificate.key().map_err(|refusal| unfit(refusal.reason))?;
        if !certificate.is_ca {
            return Err(unfit("it is no certificate of an authority (CA:TRUE)".to_owned()));
        }
        if !certificate.self_signed() {
            return Err(unfit(
                "it is no root: its own key did not sign it with SHA-256".to_owned(),
            ));
        }
        if !certificate
            .key_usage
            .as_ref()
            .is_some_and(x509_cert::ext::pkix::KeyUsage::key_cert_sign)
        {
            return Err(unfit("its key usage does not have keyCertSign".to_owned()));
        }
        if now > certificate.not_after() {
            return Err(unfit("it has expired".to_owned()));
        }
        let name = format!("{}.pem", certificate.fingerprint());
        let text = pem::encode(pem::CERTIFICATE, certificate.der());
        write(&Self::folder(config).join("issuers"), &name, text.as_bytes())
    }

    /// Takes a revocation list, in the place of an older one of the same issuer.
    ///
    /// # Errors
    /// [`TrustStoreError::Unfit`] where it is older than the one that is there: that is how a revocation is undone.
    pub fn add_crl(config: &Path, crl: &Crl) -> Result<PathBuf, TrustStoreError> {
        let store = Self::load_without_publishers(config)?;
        let other = store.crls.iter().find(|other| other.scope() == crl.scope());
        if let Some(other) = other
            && other.is_newer_than(crl)
        {
            return Err(TrustStoreError::Unfit {
                what: format!("the revocation list of {}", crl.issuer()),
                reason: format!(
                    "its number is {}, and the one that is there has {}",
                    crl.number(),
                    other.number()
                ),
            });
        }
        let text = pem::encode(pem::CRL, crl.der());
        let name = format!("{}.pem", crl.scope());
        write(&Self::folder(config).join("crls"), &name, text.as_bytes())
    }

    /// Writes what is known of a publisher.
    ///
    /// # Errors
    /// [`TrustStoreError::Unfit`] where it is no entry.
    pub fn add_publisher(
        config: &Path,
        id: &str,
        publisher: &Publisher,
    ) -> Result<PathBuf, TrustStoreError> {
        let problem = if is_publisher_id(id) {
            publisher.problem()
        } else {
            Some("its id has other characters than a-z, 0-9 and -")
        };
        if let Some(problem) = problem {
            return Err(TrustStoreError::Unfit {
                what: format!("the publisher {id:?}"),
                reason: problem.to_owned(),
            });
        }
        let folder = Self::folder(config).join("publishers");
        write(&folder, &format!("{id}.toml"), publisher.to_toml().as_bytes())
    }

    /// Denies a key, for good.
    ///
    /// # Errors
    /// [`TrustStoreError`] of the file.
    pub fn deny_key(config: &Path, key: Digest, note: &str) -> Result<PathBuf, TrustStoreError> {
        Self::change_denied(config, |denied| put(&mut denied.keys, key, note))
    }

    /// Denies a bundle, for good.
    ///
    /// # Errors
    /// [`TrustStoreError`] of the file.
    pub fn deny_digest(
        config: &Path,
        digest: Digest,
        note: &str,
    ) -> Result<PathBuf, TrustStoreError> {
        Self::change_denied(config, |denied| put(&mut denied.digests, digest, note))
    }

    fn change_denied(
        config: &Path,
        change: impl FnOnce(&mut Denied),
    ) -> Result<PathBuf, TrustStoreError> {
        let path = Self::folder(config).join("denied.toml");
        let mut denied = super::denied::read(&path)?;
        change(&mut denied);
        write(&Self::folder(config), "denied.toml", denied.to_toml().as_bytes())
    }

    /// Takes a denial back.
    ///
    /// # Errors
    /// [`TrustStoreError::Absent`] where there is none.
    pub fn allow(config: &Path, denied_key: bool, digest: Digest) -> Result<(), TrustStoreError> {
        let mut found = false;
        Self::change_denied(config, |denied| {
            let list = if denied_key { &mut denied.keys } else { &mut denied.digests };
            let before = list.len();
            list.retain(|denial| denial.sha256 != digest);
            found = list.len() < before;
        })?;
        if found { Ok(()) } else { Err(TrustStoreError::Absent { what: digest.to_string() }) }
    }

    /// Removes an issuer (by fingerprint), a revocation list (by scope) or a publisher (by id).
    ///
    /// # Errors
    /// [`TrustStoreError::Absent`] where there is none.
    pub fn remove(config: &Path, kind: EntryKind, name: &str) -> Result<(), TrustStoreError> {
        let absent = || TrustStoreError::Absent { what: format!("{} {name:?}", kind.name()) };
        let plain = match kind {
            EntryKind::Issuer | EntryKind::Crl => name.parse::<Digest>().is_ok(),
            EntryKind::Publisher => is_publisher_id(name),
        };
        if !plain {
            return Err(absent());
        }
        let (folder, extension) = match kind {
            EntryKind::Issuer => ("issuers", "pem"),
            EntryKind::Crl => ("crls", "pem"),
            EntryKind::Publisher => ("publishers", "toml"),
        };
        let path = Self::folder(config).join(folder).join(format!("{name}.{extension}"));
        match files::remove(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(absent()),
            result => result.map_err(TrustStoreError::file("remove", &path)),
        }
    }
}

/// What can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A root certificate.
    Issuer,
    /// A revocation list.
    Crl,
    /// A publisher.
    Publisher,
}

impl EntryKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "the issuer",
            Self::Crl => "the revocation list",
            Self::Publisher => "the publisher",
        }
    }
}

fn put(list: &mut Vec<Denial>, sha256: Digest, note: &str) {
    list.retain(|denial| denial.sha256 != sha256);
    list.push(Denial { sha256, note: note.to_owned() });
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, TrustStoreError> {
    files::folder(folder, 0o755).map_err(TrustStoreError::file("create", folder))?;
    let path = folder.join(name);
    files::write(&path, bytes, 0o644).map_err(TrustStoreError::file("write", &path))?;
    Ok(path)
}
