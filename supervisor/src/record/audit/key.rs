//! The key that signs checkpoints, and keys that verify them.
//!
//! `log-key.pem` beside the segments is an Ed25519 key (PKCS#8), made when it is first needed, unless the configuration
//! names a key in a hardware module ([`ModuleKey`]). `log-key.pub` holds the verifying key of every key that ever signed
//! here, one a line, in the form of signed notes: `name+id+key`.

#[cfg(feature = "hsm")]
mod pkcs11;
mod source;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64ct::{Base64, Encoding};

use super::note::{Note, Signature};
use crate::trust::signer::SignError;
pub use source::ModuleKey;

/// The private key's file.
pub const PRIVATE: &str = "log-key.pem";
/// The file of the public keys.
pub const PUBLIC: &str = "log-key.pub";

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Signature type of Ed25519, and of what has none: a longer name follows it.
const TYPE_ED25519: u8 = 1;
const TYPE_OTHER: u8 = 0xff;
const RSA: &[u8] = b"sandboxctl/rsa-pkcs1-sha256 ";

/// A key that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file of it.
    #[error("failed to {action} the log key {}: {source}", path.display())]
    File {
        /// `read`, `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// Others can read it.
    #[error("failed to use the log key {}: its mode is {mode:o}", path.display())]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("failed to use the log key {}: it holds no Ed25519 key in PKCS#8", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
    },
    /// A line of the file of public keys, or a key given to us.
    #[error("failed to use the verifying key `{text}`: it is not name+id+key")]
    Verifying {
        /// The line.
        text: String,
    },
    /// The hardware module that holds it.
    #[error("failed to use the log key in the hardware module: {source}")]
    Module {
        /// What the module, its address or the file of its PIN lacks.
        source: SignError,
    },
    /// The module's key makes signatures that nobody could verify.
    #[error("failed to use the log key in the hardware module: its signature does not verify")]
    Unusable,
    /// This program loads no PKCS#11 library.
    #[error(
        "failed to use the log key in the hardware module: this binary loads no PKCS#11 library"
    )]
    NoModules,
    /// The signer failed.
    #[error("failed to sign a checkpoint: {reason}")]
    Sign {
        /// Why.
        reason: String,
    },
}

impl KeyError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mode { path, .. } => Some(format!(
                "it must be its owner's alone; if nobody else had it: chmod 600 {}",
                path.display()
            )),
            Self::Form { path } => Some(format!(
                "move {} away, and a new key is made; log-key.pub keeps the old one's other half",
                path.display()
            )),
            Self::Module { source } => source.hint(),
            Self::Unusable => {
                Some("the key must be RSA of 2048 to 8192 bits, and allowed to sign".to_owned())
            }
            Self::NoModules => Some(source::NEEDS_A_BUILD.to_owned()),
            _ => None,
        }
    }
}

/// The key that signs here: in the module that `key` names, else the file in `dir`. The verifying half of a new one is added
/// to `log-key.pub`, so that what both sign verifies.
///
/// # Errors
/// [`KeyError`]; a module that cannot be used is never replaced by the file.
pub fn open(dir: &Path, key: Option<&ModuleKey>) -> Result<Box<dyn CheckpointSigner>, KeyError> {
    match key {
        None => Ok(Box::new(FileKey::open(dir)?)),
        Some(key) => in_module(dir, key),
    }
}

#[cfg(feature = "hsm")]
fn in_module(dir: &Path, key: &ModuleKey) -> Result<Box<dyn CheckpointSigner>, KeyError> {
    Ok(Box::new(pkcs11::TokenKey::open(dir, key)?))
}

#[cfg(not(feature = "hsm"))]
fn in_module(_: &Path, _: &ModuleKey) -> Result<Box<dyn CheckpointSigner>, KeyError> {
    Err(KeyError::NoModules)
}

/// Signs checkpoints. A key in a hardware module is another implementation.
pub trait CheckpointSigner {
    /// What verifies its signatures.
    fn verify_key(&self) -> &VerifyKey;

    /// Signs the text of a note.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// Signs `text` as a note.
///
/// # Errors
/// [`KeyError::Sign`].
pub fn sign_note(signer: &dyn CheckpointSigner, text: String) -> Result<Note, KeyError> {
    let key = signer.verify_key();
    let bytes = signer.sign(text.as_bytes())?;
    let signature = Signature { name: key.name().to_owned(), id: key.id(), bytes };
    Ok(Note { text, signatures: vec![signature] })
}

/// A public key and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyKey {
    name: String,
    key: PublicKey,
}

/// The public halves that this program can verify with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RFC 8032.
    Ed25519([u8; 32]),
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits; the DER of its SubjectPublicKeyInfo.
    Rsa(Vec<u8>),
}

impl VerifyKey {
    /// A key, named after its own hash: a log has no other name that is unique and stays.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        let bytes = match &key {
            PublicKey::Ed25519(bytes) => bytes.as_slice(),
            PublicKey::Rsa(spki) => spki,
        };
        let name = super::line::sha256(bytes).text().chars().take(16).collect::<String>();
        Self { name: format!("sandboxctl/audit/{name}"), key }
    }

    /// From a line of `log-key.pub`.
    ///
    /// # Errors
    /// [`KeyError::Verifying`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let parse = || {
            let mut parts = text.splitn(3, '+');
            let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
            if name.is_empty() || name.contains(char::is_whitespace) {
                return None;
            }
            let bytes = Base64::decode_vec(key).ok()?;
            let key = match bytes.split_first()? {
                (&TYPE_ED25519, key) => PublicKey::Ed25519(key.try_into().ok()?),
                (&TYPE_OTHER, rest) => PublicKey::Rsa(rest.strip_prefix(RSA)?.to_vec()),
                _ => return None,
            };
            let key = Self { name: name.to_owned(), key };
            (key.id_text() == id).then_some(key)
        };
        parse().ok_or_else(|| KeyError::Verifying { text: text.to_owned() })
    }

    /// The line of `log-key.pub`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}+{}+{}", self.name, self.id_text(), Base64::encode_string(&self.typed()))
    }

    /// Its name, which is also the origin of the log's checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Identifies it together with its name.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let mut text = self.name.clone().into_bytes();
        text.push(b'\n');
        text.extend(self.typed());
        let mut id = [0; 4];
        id.copy_from_slice(&digest(&SHA256, &text).as_ref()[..4]);
        id
    }

    fn id_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id()))
    }

    fn typed(&self) -> Vec<u8> {
        match &self.key {
            PublicKey::Ed25519(key) => [&[TYPE_ED25519], key.as_slice()].concat(),
            PublicKey::Rsa(spki) => [&[TYPE_OTHER], RSA, spki.as_slice()].concat(),
        }
    }

    /// Whether this is its signature of the text.
    #[must_use]
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(text, signature).is_ok()
            }
            PublicKey::Rsa(spki) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki)
                .verify(text, signature)
                .is_ok(),
        }
    }
}

/// The key in `log-key.pem`.
#[derive(Debug)]
pub struct FileKey {
    pair: Ed25519KeyPair,
    public: VerifyKey,
}

impl FileKey {
    /// Reads the key in the log's folder, or makes it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(dir: &Path) -> Result<Self, KeyError> {
        let path = dir.join(PRIVATE);
        let read = || {
            let mode = fs::metadata(&path)?.mode() & 0o777;
            Ok::<_, io::Error>((mode, fs::read_to_string(&path)?))
        };
        let failed = |action| {
            let path = path.clone();
            move |source| KeyError::File { action, path, source }
        };
        let (mode, text) = match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make(&path).map_err(failed("write"))?;
                read()
            }
            other => other,
        }
        .map_err(failed("read"))?;
        if mode & 0o077 != 0 {
            return Err(KeyError::Mode { path, mode });
        }
        let body: String = text
            .lines()
            .skip_while(|line| *line != BEGIN)
            .skip(1)
            .take_while(|line| *line != END)
            .collect();
        let pair = Base64::decode_vec(&body)
            .ok()
            .and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok());
        let public = pair.as_ref().and_then(|pair| pair.public_key().as_ref().try_into().ok());
        let (Some(pair), Some(public)) = (pair, public) else {
            return Err(KeyError::Form { path });
        };
        let public = VerifyKey::new(PublicKey::Ed25519(public));
        publish(dir, &public)?;
        Ok(Self { pair, public })
    }
}

impl CheckpointSigner for FileKey {
    fn verify_key(&self) -> &VerifyKey {
        &self.public
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Sign { reason: "the library refused the key".to_owned() };
        Ok(self.pair.try_sign(text).map_err(failed)?.as_ref().to_vec())
    }
}

/// Makes a key and puts it in place unless somebody else just did.
fn make(path: &Path) -> io::Result<()> {
    let refused = |_| io::Error::other("no random numbers");
    let der = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(refused)?;
    let body = Base64::encode_string(der.as_ref());
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let linked = file
        .write_all(format!("{BEGIN}\n{body}\n{END}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&temporary)?;
    linked
}

/// Adds a key to `log-key.pub`, where it is not there already.
fn publish(dir: &Path, key: &VerifyKey) -> Result<(), KeyError> {
    let path = dir.join(PUBLIC);
    let line = key.text();
    let failed = |source| KeyError::File { action: "write", path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o644)
        .open(&path)
        .map_err(failed)?;
    let known = fs::read_to_string(&path).map_err(failed)?;
    if known.lines().any(|known| known == line) {
        return Ok(());
    }
    file.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// The keys of `log-key.pub`; none where it is not there.
///
/// # Errors
/// [`KeyError`].
pub fn published(dir: &Path) -> Result<Vec<VerifyKey>, KeyError> {
    let path = dir.join(PUBLIC);
    match fs::read_to_string(&path) {
        Ok(text) => text.lines().map(VerifyKey::parse).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(KeyError::File { action: "read", path, source }),
    }
}

#[cfg(test)]
mod tests;
