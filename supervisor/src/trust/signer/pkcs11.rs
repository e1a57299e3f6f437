//! Keys in a hardware module, behind a PKCS#11 library. The key never leaves it.
//!
//! Loading a library needs the dynamic loader: the binary that ships is static and refuses; README, "Signing", has the build
//! that does not.

mod uri;

use std::fs;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::super::asn1::{NULL, SEQUENCE, algorithm, bit_string, element, integer, oid};
use super::{PassphraseSource, SignError, Signer};
pub use uri::Uri;

/// An RSA key in a token.
pub struct Pkcs11Signer {
    session: Session,
    key: ObjectHandle,
    spki: Vec<u8>,
}

impl std::fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pkcs11Signer").finish_non_exhaustive()
    }
}

fn module(action: &'static str) -> impl Fn(&dyn std::fmt::Display) -> SignError {
    move |reason| SignError::Module { action, reason: reason.to_string() }
}

impl Pkcs11Signer {
    /// Opens the one private RSA key that a URI of RFC 7512 names. The PIN comes from its `pin-source`, else from `pin`.
    ///
    /// # Errors
    /// [`SignError::Module`] of the step that failed.
    pub fn open(uri: &str, pin: &PassphraseSource) -> Result<Self, SignError> {
        let parse = module("understand the address of");
        let uri = Uri::parse(uri).map_err(|reason| parse(&reason))?;
        if cfg!(target_feature = "crt-static") {
            return Err(module("load")(&"this binary is static and loads none"));
        }
        let library = load(&uri.module_path)?;
        let slot = find_token(&library, &uri)?;
        let session = library.open_ro_session(slot).map_err(|e| module("open")(&e))?;
        let source = match &uri.pin_source {
            Some(file) => PassphraseSource { file: Some(file.clone()) },
            None => pin.clone(),
        };
        let pin = source.get("the PKCS#11 token")?;
        let text = std::str::from_utf8(pin.as_bytes()).map_err(|e| module("log into")(&e))?;
        let pin = AuthPin::new(text.to_owned().into());
        session.login(UserType::User, Some(&pin)).map_err(|e| module("log into")(&e))?;
        let key = find_key(&session, &uri)?;
        let spki = public_key(&session, key)?;
        Ok(Self { session, key, spki })
    }
}

impl Signer for Pkcs11Signer {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign_sha256_rsa(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = self.session.sign(&Mechanism::Sha256RsaPkcs, self.key, message);
        signed.map_err(|e| module("sign with")(&e))
    }
}

fn load(path: &Path) -> Result<Pkcs11, SignError> {
    let failed = module("load");
    if let Err(error) = fs::metadata(path) {
        return Err(failed(&format!("{}: {error}", path.display())));
    }
    let library = Pkcs11::new(path).map_err(|e| failed(&e))?;
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match library.initialize(arguments) {
        // Once a process; nobody here ends it, so a second key finds it done.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
        Err(error) => Err(module("initialise")(&error)),
    }
}

fn find_token(library: &Pkcs11, uri: &Uri) -> Result<Slot, SignError> {
    let failed = module("look for the token of");
    let mut found = Vec::new();
    for slot in library.get_slots_with_token().map_err(|e| failed(&e))? {
        let token = library.get_token_info(slot).map_err(|e| failed(&e))?;
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|w| w == text);
        if token.token_initialized()
            && is(&uri.token, token.label().trim_end())
            && is(&uri.serial, token.serial_number().trim_end())
        {
            found.push(slot);
        }
    }
    match found[..] {
        [slot] => Ok(slot),
        _ => Err(failed(&format!("{} tokens are called so, and one is wanted", found.len()))),
    }
}

fn find_key(session: &Session, uri: &Uri) -> Result<ObjectHandle, SignError> {
    let failed = module("look for the key in");
    let mut template =
        vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::RSA)];
    template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
    template.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    let found = session.find_objects(&template).map_err(|e| failed(&e))?;
    match found[..] {
        [key] => Ok(key),
        _ => Err(failed(&format!(
            "{} private RSA keys are called so, and one is wanted",
            found.len()
        ))),
    }
}

/// From the public half of the private key: RFC 8017, appendix A.1.1, in RFC 5280, section 4.1.
fn public_key(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, SignError> {
    let failed = module("read the public key of");
    let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut modulus, mut exponent) = (None, None);
    for attribute in session.get_attributes(key, &wanted).map_err(|e| failed(&e))? {
        match attribute {
            Attribute::Modulus(bytes) => modulus = Some(bytes),
            Attribute::PublicExponent(bytes) => exponent = Some(bytes),
            _ => {}
        }
    }
    let (Some(modulus), Some(exponent)) = (modulus, exponent) else {
        return Err(failed(&"the key does not tell its modulus and exponent"));
    };
    let key = element(SEQUENCE, &[&integer(&modulus), &integer(&exponent)]);
    Ok(element(SEQUENCE, &[&algorithm(oid::RSA_ENCRYPTION, NULL), &bit_string(&key)]))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
