//! The bundle is the one that its `extension.toml` says: no replay under another id or version.

use super::super::code::{self, Refusal};
use super::Claim;

/// The first line of every MANIFEST.
const FIRST: &str = "sandboxctl-manifest 1";

/// What is wrong with the head of a MANIFEST.
pub(super) fn check(manifest: &[u8], claim: &Claim<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    let publisher = claim.id.split('.').next().unwrap_or_default();
    if publisher != claim.publisher {
        let reason =
            format!("the id is {:?}, and the publisher is {:?}", claim.id, claim.publisher);
        found.push(Refusal::new(code::PUBLISHER_NOT_OF_ID, reason));
    }
    let Some((id, version)) = head(manifest) else {
        let reason = "MANIFEST does not begin with its format, an id and a version";
        found.push(Refusal::new(code::MANIFEST_MALFORMED, reason));
        return found;
    };
    if id != claim.id {
        let reason = format!("MANIFEST is of {id:?}, and extension.toml says {:?}", claim.id);
        found.push(Refusal::new(code::ID_OTHER, reason));
    }
    if version != claim.version {
        let reason = format!(
            "MANIFEST is of version {version:?}, and extension.toml says {:?}",
            claim.version
        );
        found.push(Refusal::new(code::VERSION_OTHER, reason));
    }
    found
}

fn head(manifest: &[u8]) -> Option<(&str, &str)> {
    let mut lines = manifest.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (first, id, version) = (line()?, line()?, line()?);
    // The last of them ended too.
    line().filter(|_| first == FIRST)?;
    Some((id.strip_prefix("id ")?, version.strip_prefix("version ")?))
}
