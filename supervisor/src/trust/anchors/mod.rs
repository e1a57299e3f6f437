//! What this host trusts: plain files in `trust/` of the configuration folder.
//!
//! `issuers/*.pem` are root certificates, `crls/*.pem` their revocation lists, `publishers/ID.toml` what is known of a
//! publisher, `denied.toml` keys and bundles that never run. A file that is not there is no entry; a file that cannot be
//! read, or that others can write, or that is not what it should be, is an error and never "no entry".

mod denied;
mod edit;
mod publisher;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use denied::{Denial, Denied};
pub use edit::EntryKind;
pub use publisher::{Publisher, PublisherStatus, is_publisher_id};

use super::certificate::Certificate;
use super::crl::Crl;
use super::{files, pem};

/// No such file is larger.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// A file of the trust store that cannot be used: nothing can be verified until it is repaired.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    /// It cannot be read, or others can write it.
    #[error("failed to {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, `remove`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno, or what is wrong with its owner, mode or kind.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("failed to use {}: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What was given does not belong into the store.
    #[error("failed to trust {what}: {reason}")]
    Unfit {
        /// What was given.
        what: String,
        /// Why not.
        reason: String,
    },
    /// There is nothing of this name.
    #[error("failed to find {what} in the trust store")]
    Absent {
        /// What was looked for.
        what: String,
    },
}

impl TrustStoreError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { action: "read", .. } | Self::Content { .. } => {
                Some("nothing can be verified until the file is repaired or removed".to_owned())
            }
            Self::Absent { .. } => Some("sandboxctl trust list".to_owned()),
            _ => None,
        }
    }

    pub(super) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// Which publishers were read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    All,
    One(String),
}

/// What this host trusts, read.
#[derive(Clone, Debug)]
pub struct TrustStore {
    issuers: Vec<Certificate>,
    crls: Vec<Crl>,
    publishers: BTreeMap<String, Publisher>,
    denied: Denied,
    scope: Scope,
}

impl TrustStore {
    /// The folder in a configuration folder.
    #[must_use]
    pub fn folder(config: &Path) -> PathBuf {
        config.join("trust")
    }

    /// A store that trusts nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Vec::new(), Vec::new())
    }

    /// A store of these roots and revocation lists, without files.
    #[must_use]
    pub fn of(issuers: Vec<Certificate>, crls: Vec<Crl>) -> Self {
        Self {
            issuers,
            crls,
            publishers: BTreeMap::new(),
            denied: Denied::default(),
            scope: Scope::All,
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// [`TrustStoreError`] of the first file that cannot be used.
    pub fn load(config: &Path) -> Result<Self, TrustStoreError> {
        let folder = Self::folder(config).join("publishers");
        let mut store = Self::load_without_publishers(config)?;
        for path in files::list(&folder).map_err(TrustStoreError::file("read", &folder))? {
            let (id, publisher) = publisher::read(&path)?;
            store.publishers.insert(id, publisher);
        }
        Ok(store)
    }

    /// Reads what the verification of one publisher's bundle needs.
    ///
    /// # Errors
    /// [`TrustStoreError`] of the first file that cannot be used.
    pub fn load_for(config: &Path, publisher: &str) -> Result<Self, TrustStoreError> {
        let mut store = Self::load_without_publishers(config)?;
        store.scope = Scope::One(publisher.to_owned());
        if is_publisher_id(publisher) {
            let path = Self::publisher_path(config, publisher);
            if let Some((id, publisher)) = publisher::read_if_there(&path)? {
                store.publishers.insert(id, publisher);
            }
        }
        Ok(store)
    }

    fn load_without_publishers(config: &Path) -> Result<Self, TrustStoreError> {
        let folder = Self::folder(config);
        let issuers = each(&folder.join("issuers"), |path, bytes| {
            read_issuer(bytes)
                .map_err(|reason| TrustStoreError::Content { path: path.to_owned(), reason })
        })?;
        let crls = each(&folder.join("crls"), |path, bytes| {
            read_crl(bytes)
                .map_err(|reason| TrustStoreError::Content { path: path.to_owned(), reason })
        })?;
        let denied = denied::read(&folder.join("denied.toml"))?;
        Ok(Self { issuers, crls, publishers: BTreeMap::new(), denied, scope: Scope::All })
    }

    fn publisher_path(config: &Path, id: &str) -> PathBuf {
        Self::folder(config).join("publishers").join(format!("{id}.toml"))
    }

    /// The roots.
    #[must_use]
    pub fn issuers(&self) -> &[Certificate] {
        &self.issuers
    }

    /// The revocation lists.
    #[must_use]
    pub fn crls(&self) -> &[Crl] {
        &self.crls
    }

    /// The publishers that were read.
    pub fn publishers(&self) -> impl Iterator<Item = (&str, &Publisher)> {
        self.publishers.iter().map(|(id, publisher)| (id.as_str(), publisher))
    }

    /// What never runs.
    #[must_use]
    pub const fn denied(&self) -> &Denied {
        &self.denied
    }

    /// The same with other publishers.
    #[must_use]
    pub fn with_publisher(mut self, id: &str, publisher: Publisher) -> Self {
        self.publishers.insert(id.to_owned(), publisher);
        self
    }

    /// The same with other denials.
    #[must_use]
    pub fn with_denied(mut self, denied: Denied) -> Self {
        self.denied = denied;
        self
    }

    /// What is known of a publisher; `Err` where it was not looked for.
    pub(super) fn publisher(&self, id: &str) -> Result<Option<&Publisher>, ()> {
        match &self.scope {
            Scope::One(read) if read != id => Err(()),
            _ => Ok(self.publishers.get(id)),
        }
    }
}

fn each<T>(
    folder: &Path,
    read: impl Fn(&Path, &[u8]) -> Result<T, TrustStoreError>,
) -> Result<Vec<T>, TrustStoreError> {
    let mut found = Vec::new();
    for path in files::list(folder).map_err(TrustStoreError::file("read", folder))? {
        if path.extension().is_none_or(|extension| extension != "pem") {
            let reason = "only .pem files belong here".to_owned();
            return Err(TrustStoreError::Content { path, reason });
        }
        let bytes = files::read(&path, MOST_BYTES).map_err(TrustStoreError::file("read", &path))?;
        found.push(read(&path, &bytes)?);
    }
    Ok(found)
}

fn read_issuer(bytes: &[u8]) -> Result<Certificate, String> {
    let der = pem::block(bytes, pem::CERTIFICATE)?;
    let certificate = Certificate::from_der(&der).map_err(|refusal| refusal.reason)?;
    if !certificate.is_ca {
        return Err("it is no certificate of an authority (CA:TRUE)".to_owned());
    }
    Ok(certificate)
}

fn read_crl(bytes: &[u8]) -> Result<Crl, String> {
    let der = pem::block(bytes, pem::CRL)?;
    Crl::from_der(&der).map_err(|refusal| refusal.reason)
}

#[cfg(test)]
mod tests;
