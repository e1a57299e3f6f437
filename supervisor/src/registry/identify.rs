//! What a bundle is: its manifest, its bill of materials, its digest, and whose signature it carries.

use std::path::Path;
use std::time::SystemTime;

use policies::decision::{Evaluated, Signer};
use policies::digest::Digest;
use policies::manifest::Manifest;
use policies::sbom::{self, Component};

use super::RegistryError;
use crate::bundle::{Bundle, Purpose};
use crate::state::Dirs;
use crate::trust;

/// What a bundle is.
#[derive(Debug)]
pub(super) struct Identified {
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) files: u64,
    pub(super) signer: Evaluated<Signer>,
    pub(super) sbom: Option<Vec<Component>>,
}

/// Puts a bundle into the store, from where it will run, and looks at it there. A folder without a list gets one made from
/// its files. A signature that is not valid is refused.
pub(super) fn identify(path: &Path, dirs: &Dirs) -> Result<Identified, RegistryError> {
    let opened = Bundle::open(path, &dirs.state, Purpose::Run)?;
    let name = opened.manifest_path().display().to_string();
    let manifest = Manifest::parse(&name, opened.manifest()).map_err(RegistryError::Manifest)?;
    // The parser has taken it, so it is UTF-8.
    let manifest_text = String::from_utf8_lossy(opened.manifest()).into_owned();
    let bundle = opened.with_list(&manifest, &dirs.state, Purpose::Run)?;
    bundle.check_identity(&manifest)?;
    let vetted = trust::vet(&bundle, &manifest, &dirs.config, SystemTime::now())?;
    if !vetted.facts.refusals.is_empty() {
        let refusals = vetted.facts.refusals;
        return Err(RegistryError::Signature { path: path.to_owned(), refusals });
    }
    let sbom = bill(&bundle)?;
    let missing =
        || RegistryError::Missing { what: format!("the list of the files of {}", path.display()) };
    let statement = bundle.statement().ok_or_else(missing)?;
    let list = statement.list().map_err(|_| missing())?;
    Ok(Identified {
        manifest,
        manifest_text,
        digest: *statement.text.digest(),
        size: list.total_bytes(),
        files: u64::try_from(list.entries().len()).unwrap_or(u64::MAX),
        signer: vetted.facts.signature,
        sbom,
    })
}

fn bill(bundle: &Bundle) -> Result<Option<Vec<Component>>, RegistryError> {
    for name in sbom::FILES {
        let path = bundle.path().join(name);
        let read = bundle.read(name, sbom::MAX_BYTES).map_err(|source| RegistryError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        if let Some(bytes) = read {
            let components =
                sbom::parse(&bytes).map_err(|source| RegistryError::Sbom { path, source })?;
            return Ok(Some(components));
        }
    }
    Ok(None)
}
