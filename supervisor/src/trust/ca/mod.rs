//! A certificate authority for signing code, in a folder: a root, one intermediate at a time that issues, revocation lists
//! of each.
//!
//! ```text
//! root.pem root.key root.crl.pem                          signs intermediates
//! intermediate-1.pem intermediate-1.key ...crl.pem        issues; the highest number is the current one
//! certs/SERIAL.pem                                        what was issued
//! index.json                                              what is true: a change is made when it is renamed into place
//! ```
//! Whatever is interrupted, the next command finds the state before or after: files that the index does not name are removed,
//! a revocation list that is behind the index is made again.

mod error;
mod folder;
mod index;
mod issue;
mod request;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use error::CaError;
pub use index::{Index, Issued, Reason, Revocation};
pub use request::{public_key, signing_request};

use index::IssuerRecord;
use issue::{Issuer, Subject};

use super::certificate::Certificate;
use super::crl::Crl;
use super::key::RsaPublicKey;
use super::pem;
use super::signer::{FileSigner, KeyBits, Passphrase, Signer};
use super::verify::SHORTEST_LIFETIME;
use crate::bundle::digest::sha256;

const DAY: Duration = Duration::from_hours(24);
/// A revocation list is replaced after this many days, unless the operator says otherwise.
pub const NEXT_UPDATE_DAYS: u32 = 7;
const ROOT: &str = "root";

/// How to make an authority.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names it, in the subjects of its certificates.
    pub name: String,
    /// Of the keys of root and intermediate.
    pub bits: KeyBits,
    /// How long the root is valid, in days.
    pub root_days: u32,
    /// How long each intermediate is valid, in days.
    pub intermediate_days: u32,
    /// When a revocation list is to be replaced, in days.
    pub next_update_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "sandboxctl".to_owned(),
            bits: KeyBits::Rsa3072,
            root_days: 3650,
            intermediate_days: 1825,
            next_update_days: NEXT_UPDATE_DAYS,
        }
    }
}

/// What a certificate is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// DER encoded public key info.
    pub spki: &'a [u8],
    /// Whose extensions it may sign: the organisation of its subject.
    pub publisher: &'a str,
    /// Common name of its subject.
    pub name: &'a str,
    /// How long it is valid, in days: 90 or more.
    pub days: u32,
}

/// An authority's folder, locked: one command at a time.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    index: Index,
    _lock: File,
}

impl Authority {
    /// Makes a new one. The folder appears when it is complete.
    ///
    /// # Errors
    /// [`CaError`]; the folder must not exist.
    pub fn init(
        dir: &Path,
        settings: &Settings,
        passphrase: &Passphrase,
        now: SystemTime,
    ) -> Result<Self, CaError> {
        issue::check_name(&settings.name)?;
        let staged = folder::Staged::new(dir)?;
        let root_key = FileSigner::generate(settings.bits)?;
        let root_subject = Subject::authority(&format!("{} root", settings.name), &settings.name);
        let root = issue::root(&root_key, &root_subject, now, now + DAY * settings.root_days)?;
        root_key.write(&staged.path().join("root.key"), passphrase)?;
        folder::write(
            &staged.path().join("root.pem"),
            &pem::encode_certificates(std::slice::from_ref(&root)),
        )?;
        let mut index = Index::new(settings, IssuerRecord::of(ROOT, &root));
        let issuer = Issuer { certificate: &root, signer: &root_key };
        let (record, certificate) =
            intermediate(staged.path(), &index, &issuer, settings.bits, passphrase, now)?;
        index.issuers.push(record);
        folder::publish(staged.path(), &mut index, ROOT, &issuer, now)?;
        let name = index.current().file.clone();
        let signer = FileSigner::read(&staged.path().join(format!("{name}.key")), passphrase)?;
        let issuer = Issuer { certificate: &certificate, signer: &signer };
        folder::publish(staged.path(), &mut index, &name, &issuer, now)?;
        folder::write_index(staged.path(), &index)?;
        staged.finish()?;
        Self::open(dir)
    }

    /// Opens one, waiting for another command to finish.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let lock = folder::lock(dir)?;
        let index = folder::read_index(dir)?;
        Ok(Self { dir: dir.to_owned(), index, _lock: lock })
    }

    /// What it has issued and revoked.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The root certificate: what hosts are to trust.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn root(&self) -> Result<Certificate, CaError> {
        folder::certificate(&self.dir, ROOT)
    }

    /// Where the revocation lists are, the root's first.
    #[must_use]
    pub fn crls(&self) -> Vec<PathBuf> {
        self.index.issuers.iter().map(|issuer| folder::crl_path(&self.dir, &issuer.file)).collect()
    }

    /// The revocation lists, the root's first.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn read_crls(&self) -> Result<Vec<Crl>, CaError> {
        self.index.issuers.iter().map(|issuer| folder::crl(&self.dir, &issuer.file)).collect()
    }

    /// Issuers whose revocation list is missing or older than the index: an earlier command was interrupted.
    #[must_use]
    pub fn behind(&self) -> Vec<&str> {
        let behind = |issuer: &&IssuerRecord| {
            folder::crl_number(&self.dir, &issuer.file) != Some(issuer.crl_number)
        };
        self.index.issuers.iter().filter(behind).map(|issuer| issuer.file.as_str()).collect()
    }

    /// Issues a certificate for signing code: itself, then the intermediate.
    ///
    /// # Errors
    /// [`CaError`]: a key or a time that no bundle would be accepted with, or the folder.
    pub fn issue(
        &mut self,
        order: &Order<'_>,
        passphrase: &Passphrase,
        now: SystemTime,
    ) -> Result<Vec<Certificate>, CaError> {
        RsaPublicKey::from_spki(order.spki).map_err(|refusal| CaError::Refused {
            what: "the key".to_owned(),
            reason: refusal.reason,
        })?;
        issue::check_name(order.name)?;
        issue::check_publisher(order.publisher)?;
        if let Some(serial) = self.index.compromised(sha256(order.spki)) {
            return Err(CaError::Refused {
                what: "the key".to_owned(),
                reason: format!("certificate {serial} was revoked because somebody else has it"),
            });
        }
        self.sweep()?;
        let record = self.index.current().clone();
        let (certificate, signer) = self.issuer(&record.file, passphrase)?;
        let until = (now + DAY * order.days).min(certificate.not_after());
        let from = now - issue::BACKDATED;
        if until.duration_since(now).unwrap_or_default() < SHORTEST_LIFETIME {
            return Err(CaError::Lifetime { until, issuer: certificate.not_after() });
        }
        let issuer = Issuer { certificate: &certificate, signer: &signer };
        let subject = Subject::leaf(order.name, order.publisher);
        let leaf = issue::leaf(&issuer, &subject, order.spki, from, until)?;
        let path = self.dir.join("certs").join(format!("{}.pem", leaf.serial()));
        folder::write(&path, &pem::encode_certificates(std::slice::from_ref(&leaf)))?;
        self.index.certificates.push(Issued::of(&record.file, order.publisher, &leaf));
        folder::write_index(&self.dir, &self.index)?;
        Ok(vec![leaf, certificate])
    }

    /// Revokes a certificate, or an intermediate, by serial number, and makes its issuer's list again.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn revoke(
        &mut self,
        serial: &str,
        reason: Reason,
        passphrase: &Passphrase,
        now: SystemTime,
    ) -> Result<(), CaError> {
        self.sweep()?;
        let serial = serial.to_ascii_lowercase().replace(':', "");
        let (issuer, already) = self
            .index
            .find(&serial)
            .ok_or_else(|| CaError::NoSuchSerial { serial: serial.clone() })?;
        let interrupted = self.behind().contains(&issuer.as_str());
        if already && !interrupted {
            return Err(CaError::AlreadyRevoked { serial });
        }
        // The key first: without it nothing changes.
        let (certificate, signer) = self.issuer(&issuer, passphrase)?;
        self.index.revoke(&serial, Revocation { at: index::seconds(now), reason });
        let by = Issuer { certificate: &certificate, signer: &signer };
        folder::publish_after(&self.dir, &mut self.index, &issuer, &by, now)
    }

    /// Makes the revocation lists again, of every issuer whose key is in the folder; returns their files.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn publish(
        &mut self,
        next_update_days: Option<u32>,
        passphrase: &Passphrase,
        now: SystemTime,
    ) -> Result<Vec<PathBuf>, CaError> {
        self.sweep()?;
        if let Some(days) = next_update_days {
            self.index.next_update_days = days;
        }
        let names: Vec<String> =
            self.index.issuers.iter().map(|issuer| issuer.file.clone()).collect();
        let mut made = Vec::new();
        for name in names {
            // A root whose key is kept elsewhere has its list made where the key is.
            if !self.dir.join(format!("{name}.key")).exists() {
                continue;
            }
            let (certificate, signer) = self.issuer(&name, passphrase)?;
            let by = Issuer { certificate: &certificate, signer: &signer };
            folder::publish_after(&self.dir, &mut self.index, &name, &by, now)?;
            made.push(folder::crl_path(&self.dir, &name));
        }
        Ok(made)
    }

    /// Makes a new intermediate, which issues from now on. What the old one issued stays valid until it is revoked.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn rotate(
        &mut self,
        bits: KeyBits,
        passphrase: &Passphrase,
        now: SystemTime,
    ) -> Result<Certificate, CaError> {
        self.sweep()?;
        let (root, signer) = self.issuer(ROOT, passphrase)?;
        let issuer = Issuer { certificate: &root, signer: &signer };
        let (record, certificate) =
            intermediate(&self.dir, &self.index, &issuer, bits, passphrase, now)?;
        let name = record.file.clone();
        let signer = FileSigner::read(&self.dir.join(format!("{name}.key")), passphrase)?;
        self.index.issuers.push(record);
        let by = Issuer { certificate: &certificate, signer: &signer };
        folder::publish_after(&self.dir, &mut self.index, &name, &by, now)?;
        Ok(certificate)
    }

    /// Removes what an interrupted command has left and never handed out.
    fn sweep(&self) -> Result<(), CaError> {
        folder::sweep(&self.dir, &self.index)
    }

    fn issuer(
        &self,
        name: &str,
        passphrase: &Passphrase,
    ) -> Result<(Certificate, FileSigner), CaError> {
        let certificate = folder::certificate(&self.dir, name)?;
        let signer = FileSigner::read(&self.dir.join(format!("{name}.key")), passphrase)?;
        if signer.spki_der() != certificate.spki {
            return Err(CaError::Content {
                path: self.dir.join(format!("{name}.key")),
                reason: format!("it is not the key of {name}.pem"),
            });
        }
        Ok((certificate, signer))
    }
}

/// Makes key and certificate of the next intermediate; the index does not know it yet.
fn intermediate(
    dir: &Path,
    index: &Index,
    root: &Issuer<'_>,
    bits: KeyBits,
    passphrase: &Passphrase,
    now: SystemTime,
) -> Result<(IssuerRecord, Certificate), CaError> {
    let number = index.issuers.len();
    let file = format!("intermediate-{number}");
    let signer = FileSigner::generate(bits)?;
    let subject = Subject::authority(&format!("{} code signing {number}", index.name), &index.name);
    let until = (now + DAY * index.intermediate_days).min(root.certificate.not_after());
    let certificate = issue::intermediate(root, &subject, signer.spki_der(), now, until)?;
    signer.write(&dir.join(format!("{file}.key")), passphrase)?;
    folder::write(
        &dir.join(format!("{file}.pem")),
        &pem::encode_certificates(std::slice::from_ref(&certificate)),
    )?;
    Ok((IssuerRecord::of(&file, &certificate), certificate))
}

#[cfg(test)]
mod tests;
