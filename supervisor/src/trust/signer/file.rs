//! Keys in files: RSA, encrypted PKCS#8 in PEM, mode 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use der::zeroize::Zeroizing;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::super::{files, pem};
use super::pbes2::{Lock, decrypt, encrypt};
use super::secret::Passphrase;
use super::{SignError, Signer};

/// No key file is larger.
const MOST_BYTES: u64 = 64 * 1024;
/// RFC 7468, section 11.
const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// How long a new key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyBits {
    /// 2048 bits: the customer's minimum.
    Rsa2048,
    /// 3072 bits: 128 bits of security, NIST SP 800-57.
    #[default]
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

/// The lengths that can be made, in bits.
pub const KEY_BITS: [(u32, KeyBits); 3] =
    [(2048, KeyBits::Rsa2048), (3072, KeyBits::Rsa3072), (4096, KeyBits::Rsa4096)];

/// An RSA key in memory, from an encrypted file.
pub struct FileSigner {
    key: KeyPair,
    spki: Vec<u8>,
}

impl std::fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSigner").finish_non_exhaustive()
    }
}

impl FileSigner {
    /// Makes a key. Takes from a tenth of a second to several: primes are found by chance.
    ///
    /// # Errors
    /// [`SignError::Backend`].
    pub fn generate(bits: KeyBits) -> Result<Self, SignError> {
        let size = match bits {
            KeyBits::Rsa2048 => KeySize::Rsa2048,
            KeyBits::Rsa3072 => KeySize::Rsa3072,
            KeyBits::Rsa4096 => KeySize::Rsa4096,
        };
        let key = KeyPair::generate(size).map_err(|_| SignError::Backend { action: "generate" })?;
        Self::new(key)
    }

    pub(in crate::trust) fn new(key: KeyPair) -> Result<Self, SignError> {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
            .map_err(|_| SignError::Backend { action: "encode" })?;
        Ok(Self { spki: spki.as_ref().to_vec(), key })
    }

    /// Reads a key from a file that only its owner may use.
    ///
    /// # Errors
    /// [`SignError`]: the file, its mode, its form, the passphrase.
    pub fn read(path: &Path, passphrase: &Passphrase) -> Result<Self, SignError> {
        let form = |reason: String| SignError::Form { path: path.to_owned(), reason };
        let text = read_private(path)?;
        let text = std::str::from_utf8(&text).map_err(|_| form("it is no PEM file".to_owned()))?;
        let (label, der) = der::pem::decode_vec(text.as_bytes())
            .map_err(|error| form(format!("it is no PEM file: {error}")))?;
        let der = Zeroizing::new(der);
        if label != LABEL {
            return Err(form(format!("it is a {label:?}, not an {LABEL:?}")));
        }
        let pkcs8 = decrypt(&der, passphrase).map_err(|lock| match lock {
            Lock::Form(reason) => form(reason),
            Lock::Passphrase => SignError::Passphrase { path: path.to_owned() },
        })?;
        let key = KeyPair::from_pkcs8(&pkcs8)
            .map_err(|error| form(format!("its key is not usable: {error}")))?;
        Self::new(key)
    }

    /// Writes the key, encrypted, into a new file of mode 0600.
    ///
    /// # Errors
    /// [`SignError`]; an existing file is never overwritten.
    pub fn write(&self, path: &Path, passphrase: &Passphrase) -> Result<(), SignError> {
        let backend = || SignError::Backend { action: "encrypt" };
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.key).map_err(|_| backend())?;
        let encrypted = encrypt(pkcs8.as_ref(), passphrase).ok_or_else(backend)?;
        let pem = pem::encode(LABEL, &encrypted);
        create(path, pem.as_bytes()).map_err(|source| SignError::File {
            action: "create",
            path: path.to_owned(),
            source,
        })
    }

    /// The public key in PEM.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem::encode(pem::PUBLIC_KEY, &self.spki)
    }
}

/// Writes a new file, whole or not at all: the name is a link(2) to what is complete, and never replaces another file.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&temporary, path)
    };
    let written = write();
    fs::remove_file(&temporary).and(written)?;
    files::sync_folder(path)
}

impl Signer for FileSigner {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign_sha256_rsa(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SignError::Backend { action: "sign" })?;
        Ok(signature)
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let error = |source| SignError::File { action: "read", path: PathBuf::from(path), source };
    // O_NONBLOCK: a FIFO in its place must not hang us.
    let file: File =
        OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).map_err(error)?;
    let metadata = file.metadata().map_err(error)?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return Err(error(io::Error::other("not a regular file")));
    }
    if mode & 0o077 != 0 {
        return Err(SignError::Mode { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(error)?;
    Ok(bytes)
}
