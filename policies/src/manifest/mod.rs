//! `extension.toml`: what a publisher claims and asks for. It grants nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;

use crate::diag::Diagnostics;
use crate::domain::DomainRule;
use crate::permission::Permission;
use crate::plan::{Runtime, Storage};
use crate::set::PolicySet;
use crate::tier::{Isolation, Tier};

mod network;
mod parse;
pub mod schema;
mod values;

pub(crate) use values::{fits_version, is_clean_path, is_id};

/// A larger file is refused before it is read: 256 KiB.
pub const MAX_BYTES: usize = 256 * 1024;

/// A manifest that is well-formed. Whether it may run is the decision's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `publisher.name`, of `[a-z0-9.-]`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Semantic version.
    pub version: Version,
    /// The part of the id before the first dot.
    pub publisher: String,
    /// The tier that it claims.
    pub tier: Tier,
    /// The isolation that it asks for; none is the tier's default.
    pub isolation: Option<Isolation>,
    /// What runs.
    pub run: Run,
    /// The permissions that it asks for, in its order.
    pub permissions: Vec<Permission>,
    /// The domains that it asks for.
    pub network: Vec<DomainRule>,
    /// The host files that it asks for.
    pub files: Files,
    /// What `/data` is.
    pub storage: Storage,
    /// Lower limits than the tier's.
    pub limits: RequestedLimits,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Command and arguments; never empty.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Whose `/usr` it sees.
    pub runtime: Runtime,
    /// Working directory; none is `/ext`.
    pub workdir: Option<String>,
}

/// Host files that it asks for: absolute paths, each meaning everything beneath where it is a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// To read.
    pub read: Vec<String>,
    /// To write, create and delete.
    pub write: Vec<String>,
}

/// Lower limits than the tier's; each in the unit of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of `Limits`, documented there")]
pub struct RequestedLimits {
    pub memory_mb: Option<u64>,
    pub cpu_percent: Option<u32>,
    pub disk_mb: Option<u64>,
    pub tmp_mb: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub grace_ms: Option<u64>,
    pub tasks: Option<u32>,
    pub open_files: Option<u32>,
    pub file_mb: Option<u64>,
}

impl Manifest {
    /// Reads a manifest against the embedded tiers. `file_name` is how problems name the file.
    ///
    /// # Errors
    /// Every problem of the file, in the order of their places.
    pub fn parse(file_name: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        parse::parse(file_name, bytes, &PolicySet::embedded())
    }

    /// Reads a manifest against the tiers of `policies`, whose limits it may not exceed.
    ///
    /// # Errors
    /// Every problem of the file, in the order of their places.
    pub fn parse_for(
        file_name: &str,
        bytes: &[u8],
        policies: &PolicySet,
    ) -> Result<Self, Diagnostics> {
        parse::parse(file_name, bytes, policies)
    }
}

#[cfg(test)]
mod tests;
