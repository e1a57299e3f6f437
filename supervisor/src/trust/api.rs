//! Signing and verifying for programs that embed the supervisor.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use policies::tier::Tier;

use super::anchors::{TrustStore, TrustStoreError};
use super::ca::{Authority, CaError, Order, Reason, Settings};
use super::certificate::Certificate;
use super::code::{self, Refusal};
use super::folder::{self, FolderError, SignedFolder};
use super::pem;
use super::signer::{Passphrase, SignError, Signer};
use super::verify::{CheckName, Checks, Trust, clock, denied_keys, evaluate_chain, key, profile};

/// Signs code with a private key and its certificate.
///
/// ```
/// use sandboxctl::trust::api::{CertificateAuthority, CodeSigner};
/// use sandboxctl::trust::signer::{FileSigner, KeyBits, Passphrase, Signer};
/// # let folder = std::env::temp_dir().join(format!("sandboxctl-doc-signer-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let settings = sandboxctl::trust::ca::Settings { bits: KeyBits::Rsa2048, ..Default::default() };
/// let mut authority =
///     CertificateAuthority::create_with(&folder.join("ca"), &settings, Passphrase::new("secret"))?;
/// let key = FileSigner::generate(KeyBits::Rsa2048)?;
/// let chain = authority.issue("acme", "acme release", key.spki_der(), 365)?;
///
/// let signer = CodeSigner::new(key, &chain)?;
/// let signature = signer.sign(b"print('hello')")?;
/// assert_eq!(signature.len(), 256); // SHA256withRSA, 2048 bits
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CodeSigner<S> {
    signer: S,
    chain: Vec<Certificate>,
}

impl<S: Signer> CodeSigner<S> {
    /// A key with its certificate in PEM, intermediates after it.
    ///
    /// # Errors
    /// [`FolderError::Certificate`] for PEM that is none, [`SignError::WrongCertificate`] for another key's.
    pub fn new(signer: S, chain_pem: &str) -> Result<Self, FolderError> {
        let chain = pem::certificates(chain_pem.as_bytes())
            .map_err(|refusal| FolderError::Certificate(vec![refusal]))?;
        match chain.first() {
            Some(leaf) if leaf.spki == signer.spki_der() => Ok(Self { signer, chain }),
            leaf => {
                let subject = leaf.map(Certificate::subject).unwrap_or_default();
                Err(SignError::WrongCertificate { subject }.into())
            }
        }
    }

    /// A SHA256withRSA signature over `code`, to be checked with [`CodeVerifier::verify_signature`].
    ///
    /// # Errors
    /// [`SignError`] of the key.
    pub fn sign(&self, code: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer.sign_sha256_rsa(code)
    }

    /// Signs a bundle's folder: writes `MANIFEST` and `MANIFEST.p7s`.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn sign_bundle(&self, dir: &Path) -> Result<SignedFolder, FolderError> {
        folder::sign(dir, &self.signer, &self.chain, SystemTime::now())
    }

    /// The certificate, intermediates after it, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::encode_certificates(&self.chain)
    }
}

/// What became of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationResult {
    /// The signature is the code's, by the certificate's key, and nothing is wrong with either: profile, time, revocation,
    /// deny list.
    pub valid: bool,
    /// An issuer that the host trusts vouches for the signer, and nobody has taken that back. Implies `valid`.
    pub trusted_signer: bool,
    /// Everything that speaks against `valid`, or, where that is true, against `trusted_signer`; as text.
    pub error: Option<String>,
    /// The same with codes.
    pub refusals: Vec<Refusal>,
}

/// Verifies signatures of code against what the host trusts.
///
/// ```
/// use sandboxctl::trust::api::{CertificateAuthority, CodeSigner, CodeVerifier};
/// use sandboxctl::trust::signer::{FileSigner, KeyBits, Passphrase, Signer};
/// # let folder = std::env::temp_dir().join(format!("sandboxctl-doc-verifier-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let settings = sandboxctl::trust::ca::Settings { bits: KeyBits::Rsa2048, ..Default::default() };
/// # let mut authority =
/// #     CertificateAuthority::create_with(&folder.join("ca"), &settings, Passphrase::new("secret"))?;
/// # let key = FileSigner::generate(KeyBits::Rsa2048)?;
/// # let certificate = authority.issue("acme", "acme release", key.spki_der(), 365)?;
/// # let signer = CodeSigner::new(key, &certificate)?;
/// let extension_code = b"print('hello')";
/// let signature = signer.sign(extension_code)?;
///
/// let verifier = CodeVerifier::new(authority.trust_store()?);
/// let result = verifier.verify_signature(extension_code, &signature, &certificate);
/// if !result.valid {
///     return Err(format!("signature verification failed: {:?}", result.error).into());
/// }
/// if !result.trusted_signer {
///     eprintln!("extension signed by an untrusted signer");
/// }
/// assert!(result.trusted_signer);
/// assert!(!verifier.verify_signature(b"print('other')", &signature, &certificate).valid);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CodeVerifier {
    anchors: TrustStore,
}

impl CodeVerifier {
    /// With what was read of a trust store.
    #[must_use]
    pub const fn new(anchors: TrustStore) -> Self {
        Self { anchors }
    }

    /// With what this host trusts: `trust/` in a configuration folder.
    ///
    /// # Errors
    /// [`TrustStoreError`]: a file of it that cannot be used.
    pub fn of_host(config: &Path) -> Result<Self, TrustStoreError> {
        TrustStore::load(config).map(Self::new)
    }

    /// Verifies a signature that [`CodeSigner::sign`] or `openssl dgst -sha256 -sign` made.
    ///
    /// `certificate` is PEM: the signer's, then its intermediates.
    #[must_use]
    pub fn verify_signature(
        &self,
        code: &[u8],
        signature: &[u8],
        certificate: &str,
    ) -> VerificationResult {
        self.verify_signature_at(code, signature, certificate, SystemTime::now())
    }

    /// The same at another time than now.
    #[must_use]
    pub fn verify_signature_at(
        &self,
        code: &[u8],
        signature: &[u8],
        certificate: &str,
        now: SystemTime,
    ) -> VerificationResult {
        let chain = match pem::certificates(certificate.as_bytes()) {
            Ok(chain) => chain,
            Err(refusal) => return VerificationResult::of(false, false, vec![refusal]),
        };
        let Some((leaf, others)) = chain.split_first() else {
            return VerificationResult::of(false, false, Vec::new());
        };
        let mut checks = Checks::default();
        checks.settle(CheckName::Clock, clock(now));
        checks.settle(CheckName::Denied, denied_keys(chain.iter(), &self.anchors));
        checks.settle(CheckName::Key, key(leaf));
        let made = leaf.key().is_ok_and(|key| key.verifies(code, signature));
        let other = || {
            let reason = format!("the key of {} did not make the signature", leaf.subject());
            Refusal::new(code::SIGNATURE_INVALID, reason)
        };
        checks.settle(CheckName::Signature, if made { Vec::new() } else { vec![other()] });
        let self_signed = leaf.self_signed();
        profile(leaf, self_signed, &mut checks);
        let before = checks.valid();
        let tier = Tier::Professional;
        let trust =
            evaluate_chain(leaf, others, self_signed, &self.anchors, tier, now, &mut checks);
        let valid = before
            && checks.good(CheckName::Validity)
            && !checks.failures().any(|refusal| refusal.code == code::CERTIFICATE_REVOKED.name);
        let trusted = valid && trust == Trust::Issuer && checks.valid();
        VerificationResult::of(valid, trusted, checks.failures().cloned().collect())
    }
}

impl VerificationResult {
    fn of(valid: bool, trusted_signer: bool, refusals: Vec<Refusal>) -> Self {
        let text: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        let error = (!text.is_empty()).then(|| text.join("; "));
        Self { valid, trusted_signer, error, refusals }
    }
}

/// Issues and revokes certificates for signing code.
///
/// ```
/// use sandboxctl::trust::api::{CertificateAuthority, CodeVerifier};
/// use sandboxctl::trust::ca::Reason;
/// # use sandboxctl::trust::api::CodeSigner;
/// use sandboxctl::trust::signer::{FileSigner, KeyBits, Passphrase, Signer};
/// # let folder = std::env::temp_dir().join(format!("sandboxctl-doc-ca-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let settings = sandboxctl::trust::ca::Settings { bits: KeyBits::Rsa2048, ..Default::default() };
/// let mut authority =
///     CertificateAuthority::create_with(&folder.join("ca"), &settings, Passphrase::new("secret"))?;
/// let key = FileSigner::generate(KeyBits::Rsa2048)?;
/// let certificate = authority.issue("acme", "acme release", key.spki_der(), 365)?;
/// # let signature = CodeSigner::new(key, &certificate)?.sign(b"code")?;
///
/// authority.revoke(&certificate, Reason::KeyCompromise)?;
/// let verifier = CodeVerifier::new(authority.trust_store()?);
/// assert!(!verifier.verify_signature(b"code", &signature, &certificate).valid);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CertificateAuthority {
    dir: PathBuf,
    passphrase: Passphrase,
}

impl CertificateAuthority {
    /// Makes a new one in a folder that does not exist.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn create(dir: &Path, name: &str, passphrase: Passphrase) -> Result<Self, CaError> {
        Self::create_with(
            dir,
            &Settings { name: name.to_owned(), ..Settings::default() },
            passphrase,
        )
    }

    /// The same with settings of your own.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn create_with(
        dir: &Path,
        settings: &Settings,
        passphrase: Passphrase,
    ) -> Result<Self, CaError> {
        Authority::init(dir, settings, &passphrase, SystemTime::now())?;
        Ok(Self { dir: dir.to_owned(), passphrase })
    }

    /// One that exists.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open(dir: &Path, passphrase: Passphrase) -> Result<Self, CaError> {
        Authority::open(dir)?;
        Ok(Self { dir: dir.to_owned(), passphrase })
    }

    /// Issues a certificate, PEM, its intermediate after it.
    ///
    /// # Errors
    /// [`CaError`]: fewer than 90 days, an unfit key, the folder.
    pub fn issue(
        &mut self,
        publisher: &str,
        name: &str,
        spki: &[u8],
        days: u32,
    ) -> Result<String, CaError> {
        let order = Order { spki, publisher, name, days };
        let chain =
            Authority::open(&self.dir)?.issue(&order, &self.passphrase, SystemTime::now())?;
        Ok(pem::encode_certificates(&chain))
    }

    /// Revokes a certificate of this authority, given in PEM.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn revoke(&mut self, certificate_pem: &str, reason: Reason) -> Result<(), CaError> {
        let chain = pem::certificates(certificate_pem.as_bytes());
        let chain = chain.map_err(|refusal| CaError::Refused {
            what: "the certificate".to_owned(),
            reason: refusal.reason,
        })?;
        let serial = chain.first().map(Certificate::serial).unwrap_or_default();
        Authority::open(&self.dir)?.revoke(&serial, reason, &self.passphrase, SystemTime::now())
    }

    /// Root and revocation lists as a host would trust them.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn trust_store(&self) -> Result<TrustStore, CaError> {
        let authority = Authority::open(&self.dir)?;
        Ok(TrustStore::of(vec![authority.root()?], authority.read_crls()?))
    }
}
