//! The log key in a hardware module.

use std::path::Path;

use super::{CheckpointSigner, KeyError, ModuleKey, PublicKey, VerifyKey, publish};
use crate::trust::signer::pkcs11::Pkcs11Signer;
use crate::trust::signer::{PassphraseSource, Signer};

/// An RSA key in a token, which signs SHA256withRSA (PKCS#1 v1.5).
#[derive(Debug)]
pub(super) struct TokenKey {
    signer: Pkcs11Signer,
    public: VerifyKey,
}

impl TokenKey {
    /// Opens the token and publishes the key's verifying half in the log's folder.
    ///
    /// # Errors
    /// [`KeyError::Module`], [`KeyError::Unusable`], [`KeyError::File`].
    pub(super) fn open(dir: &Path, key: &ModuleKey) -> Result<Self, KeyError> {
        let pin = PassphraseSource { file: Some(key.pin_file.clone()) };
        let signer =
            Pkcs11Signer::open(&key.pkcs11, &pin).map_err(|source| KeyError::Module { source })?;
        let public = VerifyKey::new(PublicKey::Rsa(signer.spki_der().to_vec()));
        let key = Self { signer, public };
        // Before the key is published: a checkpoint that nobody can verify would say that the log was changed.
        let probe = b"sandboxctl audit log key\n";
        if !key.public.verify(probe, &key.sign(probe)?) {
            return Err(KeyError::Unusable);
        }
        publish(dir, &key.public)?;
        Ok(key)
    }
}

impl CheckpointSigner for TokenKey {
    fn verify_key(&self) -> &VerifyKey {
        &self.public
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.signer.sign_sha256_rsa(text).map_err(|source| KeyError::Module { source })
    }
}

#[cfg(test)]
mod tests;
