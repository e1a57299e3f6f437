//! Keys that sign: in an encrypted file, or in a hardware module.

mod file;
mod pbes2;
#[cfg(feature = "hsm")]
pub mod pkcs11;
mod secret;

use std::io;
use std::path::PathBuf;

pub use file::{FileSigner, KEY_BITS, KeyBits};
pub use secret::{Passphrase, PassphraseSource};

/// Something that has a private RSA key.
pub trait Signer: std::fmt::Debug {
    /// The public key, a DER encoded `SubjectPublicKeyInfo` of RFC 5280.
    fn spki_der(&self) -> &[u8];

    /// SHA256withRSA (PKCS#1 v1.5) over `message`.
    ///
    /// # Errors
    /// What the key or its module says.
    fn sign_sha256_rsa(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A key that could not be read, made or used.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A file.
    #[error("failed to {action} {}: {source}", path.display())]
    File {
        /// `read`, `create`, ...
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("failed to use {}: its mode is {mode:04o}, and others than its owner may use it", path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key of the form that is used here.
    #[error("failed to read the key {}: {reason}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The file's key could not be decrypted.
    #[error("failed to decrypt the key {}: the passphrase is wrong, or the file is damaged", path.display())]
    Passphrase {
        /// Which.
        path: PathBuf,
    },
    /// Nothing gave a passphrase or a PIN.
    #[error("failed to get the passphrase of {what}: {reason}")]
    NoPassphrase {
        /// Of which key.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The cryptographic library refused.
    #[error("failed to {action} with the key: the cryptographic library refused")]
    Backend {
        /// `sign`, `generate`, `encrypt`.
        action: &'static str,
    },
    /// The certificate is for another key.
    #[error("failed to sign: the certificate of {subject:?} is not for this key")]
    WrongCertificate {
        /// Of the certificate.
        subject: String,
    },
    /// The clock shows a time that no signature can have.
    #[error("failed to write the time of this host: {source}")]
    Clock {
        /// Why.
        source: der::Error,
    },
    /// The hardware module.
    #[error("failed to {action} the PKCS#11 module: {reason}")]
    Module {
        /// Which step.
        action: &'static str,
        /// What it said.
        reason: String,
    },
}

impl SignError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mode { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Form { path, .. } => Some(format!(
                "keys are RSA, in encrypted PKCS#8 PEM; convert another one with: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in {} -out NEW",
                path.display()
            )),
            Self::NoPassphrase { .. } => Some(
                "give --passphrase-file, set SANDBOXCTL_PASSPHRASE, or use a terminal".to_owned(),
            ),
            Self::WrongCertificate { .. } => {
                Some("the first certificate of the chain must be the signer's".to_owned())
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => Some(
                "keys are never overwritten: choose another name, or remove it by hand".to_owned(),
            ),
            _ => None,
        }
    }
}
