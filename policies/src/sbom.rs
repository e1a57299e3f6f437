//! The software bill of materials of a bundle: what it is made of, as far as its publisher says.
//!
//! CycloneDX JSON of any version, read tolerantly: unknown fields are ignored, because a bill grants nothing, and a new field
//! of the format must not make the components of an extension invisible.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The names that a bill can have in a bundle; the first that is there is read.
pub const FILES: [&str; 2] = ["sbom.cdx.json", "bom.json"];

/// A larger bill is refused: 16 MiB.
pub const MAX_BYTES: usize = 16 << 20;

/// A bill with more components is refused.
const MAX_COMPONENTS: usize = 50_000;

/// Components of components of components: real bills have one or two levels.
const MAX_DEPTH: usize = 16;

/// A bill that cannot be used. Its bundle cannot be checked, which is never taken for safe.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// It is no JSON of the shape of CycloneDX.
    #[error("failed to parse the bill of materials: {source}")]
    Parse {
        /// Line, column and reason.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON of another kind.
    #[error("failed to read the bill of materials: bomFormat is \"{found}\", not \"CycloneDX\"")]
    Format {
        /// What it says.
        found: String,
    },
    /// It is too large, in one way or another.
    #[error("failed to read the bill of materials: more than {most} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
}

/// One part that a bundle contains.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// `library`, `application`, ...
    pub kind: String,
    /// For people.
    pub name: String,
    /// As its publisher writes it; may be empty.
    pub version: String,
    /// Package URL; may be empty.
    pub purl: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bill {
    #[serde(default)]
    bom_format: String,
    #[serde(default)]
    components: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    purl: Option<String>,
    #[serde(default)]
    components: Vec<Part>,
}

/// Reads a bill: its components and theirs, each once.
///
/// # Errors
/// [`SbomError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Component>, SbomError> {
    if bytes.len() > MAX_BYTES {
        return Err(SbomError::TooLarge { what: "bytes", most: MAX_BYTES });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bill: Bill = serde_json::from_slice(bytes).map_err(|source| SbomError::Parse { source })?;
    if bill.bom_format != "CycloneDX" {
        let found = bill.bom_format.chars().take(40).collect();
        return Err(SbomError::Format { found });
    }
    let mut components = Vec::new();
    let mut rest: Vec<(usize, Part)> = bill.components.into_iter().map(|part| (1, part)).collect();
    while let Some((depth, part)) = rest.pop() {
        if depth > MAX_DEPTH {
            return Err(SbomError::TooLarge { what: "levels of components", most: MAX_DEPTH });
        }
        if components.len() >= MAX_COMPONENTS {
            return Err(SbomError::TooLarge { what: "components", most: MAX_COMPONENTS });
        }
        rest.extend(part.components.into_iter().map(|inner| (depth + 1, inner)));
        components.push(Component {
            kind: part.kind,
            name: part.name,
            version: part.version.unwrap_or_default(),
            purl: part.purl.unwrap_or_default(),
        });
    }
    components.sort();
    components.dedup();
    Ok(components)
}

/// A package as the databases of vulnerabilities name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Package {
    /// The database's word for where it comes from: `npm`, `PyPI`, `crates.io`, ...
    pub ecosystem: &'static str,
    /// Its name there.
    pub name: String,
    /// Its version; empty where the bill does not say.
    pub version: String,
}

/// The package types that a database has, and its word for each:
/// <https://github.com/package-url/purl-spec> and <https://ossf.github.io/osv-schema/#defined-ecosystems>.
const ECOSYSTEMS: [(&str, &str); 14] = [
    ("npm", "npm"),
    ("pypi", "PyPI"),
    ("cargo", "crates.io"),
    ("golang", "Go"),
    ("maven", "Maven"),
    ("gem", "RubyGems"),
    ("nuget", "NuGet"),
    ("composer", "Packagist"),
    ("hex", "Hex"),
    ("pub", "Pub"),
    ("deb", "Debian"),
    ("apk", "Alpine"),
    ("cran", "CRAN"),
    ("hackage", "Hackage"),
];

/// The package that a component is; `None` where its purl names none that a database could know. Parsed as
/// <https://github.com/package-url/purl-spec/blob/main/PURL-SPECIFICATION.rst> says, from the right.
#[must_use]
pub fn package(component: &Component) -> Option<Package> {
    let rest = component.purl.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split('#').next()?.split('?').next()?;
    let (kind, path) = rest.split_once('/')?;
    let kind = kind.to_ascii_lowercase();
    let (_, ecosystem) = ECOSYSTEMS.iter().find(|(purl, _)| *purl == kind)?;
    // The version follows the last `@` after the last slash; a scope's own `@` is `%40`, or comes before it.
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    let (path, version) = match path[last..].rfind('@') {
        Some(at) if at > 0 => (&path[..last + at], decode(&path[last + at + 1..])?),
        _ => (path, component.version.clone()),
    };
    let parts: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Option<_>>()?;
    let name = parts.last()?;
    let name = match kind.as_str() {
        "maven" => parts.join(":"),
        "pypi" => normal_python(name),
        // Distributions come before the name: `pkg:deb/debian/curl`.
        "deb" | "apk" => name.clone(),
        _ => parts.join("/"),
    };
    let version = match kind.as_str() {
        "golang" => version.strip_prefix('v').unwrap_or(&version).to_owned(),
        _ => version,
    };
    (!name.is_empty()).then_some(Package { ecosystem, name, version })
}

/// <https://packaging.python.org/en/latest/specifications/name-normalization/>
pub(crate) fn normal_python(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            letter => normal.push(letter.to_ascii_lowercase()),
        }
    }
    normal
}

/// Percent-decoding; `None` where the text is broken.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            if digits.starts_with('+') {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purl(purl: &str, version: &str) -> Component {
        Component { purl: purl.to_owned(), version: version.to_owned(), ..Component::default() }
    }

    #[test]
    fn packages_of_purls() {
        for (text, version, expected) in [
            ("pkg:npm/left-pad@1.3.0", "", Some(("npm", "left-pad", "1.3.0"))),
            ("pkg:npm/%40scope/name@1.0.0?arch=x#sub", "", Some(("npm", "@scope/name", "1.0.0"))),
            ("pkg:npm/@scope/name", "2.0.0", Some(("npm", "@scope/name", "2.0.0"))),
            ("pkg:pypi/Foo_Bar.baz@1.0", "", Some(("PyPI", "foo-bar-baz", "1.0"))),
            ("pkg:cargo/serde@1.0.1", "", Some(("crates.io", "serde", "1.0.1"))),
            (
                "pkg:golang/github.com/gorilla/mux@v1.8.0",
                "",
                Some(("Go", "github.com/gorilla/mux", "1.8.0")),
            ),
            ("pkg:maven/org.x/y@1.0", "", Some(("Maven", "org.x:y", "1.0"))),
            (
                "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5",
                "",
                Some(("Debian", "curl", "7.88.1-10+deb12u5")),
            ),
            ("pkg:NPM/a@1", "", Some(("npm", "a", "1"))),
            ("pkg:generic/zlib@1.2", "", None),
            ("pkg:npm/%zz@1", "", None),
            ("pkg:npm", "", None),
            ("pkg:npm/", "", None),
            ("", "1.0.0", None),
        ] {
            let found = package(&purl(text, version));
            let found = found.as_ref().map(|p| (p.ecosystem, p.name.as_str(), p.version.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn components_of_components() {
        let text = br#"{"bomFormat":"CycloneDX","specVersion":"1.6","future":{},"components":[
            {"type":"library","name":"a","version":"1","purl":"pkg:npm/a@1","components":[{"type":"library","name":"b"}]},
            {"type":"library","name":"b"}]}"#;
        let found = parse(text).unwrap();
        let names: Vec<&str> = found.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(parse(br#"{"bomFormat":"CycloneDX"}"#).unwrap().is_empty());
    }

    #[test]
    fn bills_that_cannot_be_used() {
        for wrong in [
            &b""[..],
            b"[]",
            b"{}",
            br#"{"spdxVersion":"2.3"}"#,
            br#"{"bomFormat":"CycloneDX","components":1}"#,
        ] {
            assert!(parse(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        let mut deep = String::from(r#"{"name":"x"}"#);
        for _ in 0..MAX_DEPTH {
            deep = format!(r#"{{"name":"x","components":[{deep}]}}"#);
        }
        let deep = format!(r#"{{"bomFormat":"CycloneDX","components":[{deep}]}}"#);
        assert!(matches!(parse(deep.as_bytes()), Err(SbomError::TooLarge { .. })));
        let large = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(parse(&large), Err(SbomError::TooLarge { what: "bytes", .. })));
    }
}
