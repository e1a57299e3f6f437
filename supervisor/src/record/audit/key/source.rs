//! A log key in a hardware module, as the configuration names it.

use std::path::PathBuf;

use serde::Deserialize;

/// Whether this program can load the library of a module: a static binary has no loader.
const LOADS_MODULES: bool = cfg!(all(feature = "hsm", not(target_feature = "crt-static")));

/// What to do about a binary that cannot.
pub(super) const NEEDS_A_BUILD: &str = "build one with the feature hsm, as README's section on signing says; \
     without [audit.key] the key is a file beside the log";

/// The section `[audit.key]`: an RSA key behind a PKCS#11 library.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleKey {
    /// Its address, RFC 7512: `pkcs11:token=T;object=KEY?module-path=/usr/lib/..so`.
    pub pkcs11: String,
    /// A file whose first line is the PIN, for its owner alone. Nobody is there to be asked for it.
    pub pin_file: PathBuf,
}

impl ModuleKey {
    /// Why this program cannot use it, and what to do.
    #[must_use]
    pub fn problem(&self) -> Option<(String, &'static str)> {
        if !LOADS_MODULES {
            let reason = "pkcs11 under [audit.key]: this binary loads no PKCS#11 library";
            return Some((reason.to_owned(), NEEDS_A_BUILD));
        }
        if !self.pin_file.is_absolute() {
            let reason = format!(
                "pin_file = {} under [audit.key]: no absolute path",
                self.pin_file.display()
            );
            return Some((reason, "name the file from / on"));
        }
        #[cfg(feature = "hsm")]
        if let Err(reason) = address(&self.pkcs11) {
            let hint = "see RFC 7512, and README's section on the audit log";
            return Some((format!("pkcs11 under [audit.key]: {reason}"), hint));
        }
        None
    }
}

#[cfg(feature = "hsm")]
fn address(text: &str) -> Result<(), String> {
    match crate::trust::signer::pkcs11::Uri::parse(text)?.pin_source {
        Some(_) => Err("its PIN comes from pin_file, not from pin-source".to_owned()),
        None => Ok(()),
    }
}
