//! Addresses of keys: RFC 7512.

use std::path::PathBuf;

/// Which key, in which token, behind which library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Label of the key.
    pub object: Option<String>,
    /// Id of the key.
    pub id: Option<Vec<u8>>,
    /// The library.
    pub module_path: PathBuf,
    /// A file whose first line is the PIN.
    pub pin_source: Option<PathBuf>,
}

impl Uri {
    /// Takes `pkcs11:token=..;object=..?module-path=..` apart.
    ///
    /// # Errors
    /// What it lacks, or has that means nothing here: nothing is ignored.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("pkcs11:").ok_or("it does not begin with pkcs11:")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = pair(part)?;
            match name {
                "token" => uri.token = Some(utf8(value)?),
                "serial" => uri.serial = Some(utf8(value)?),
                "object" => uri.object = Some(utf8(value)?),
                "id" => uri.id = Some(value),
                "type" if value == b"private" => {}
                _ => return Err(format!("it has {part:?}, which means nothing here")),
            }
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = pair(part)?;
            match name {
                "module-path" => uri.module_path = PathBuf::from(utf8(value)?),
                "pin-source" => {
                    let source = utf8(value)?;
                    let path = source.strip_prefix("file:").unwrap_or(&source);
                    uri.pin_source = Some(PathBuf::from(path.trim_start_matches("//")));
                }
                "pin-value" => {
                    return Err(
                        "a PIN does not belong on a command line: use pin-source".to_owned()
                    );
                }
                _ => return Err(format!("it has {part:?}, which means nothing here")),
            }
        }
        if !uri.module_path.is_absolute() {
            return Err("it has no absolute module-path".to_owned());
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err("it names no key: object or id".to_owned());
        }
        Ok(uri)
    }
}

fn pair(part: &str) -> Result<(&str, Vec<u8>), String> {
    let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is no name=value"))?;
    let bytes = value.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'%' {
            let digits =
                bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
            let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            plain.push(decoded.ok_or_else(|| format!("{part:?} has a broken %"))?);
            at += 3;
        } else {
            plain.push(*byte);
            at += 1;
        }
    }
    Ok((name, plain))
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
