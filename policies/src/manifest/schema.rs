//! The manifest as a JSON Schema, for editors.
//!
//! The types below describe the file; they are never filled. The parser is stricter: it also knows the tier's limits, and
//! what a domain and a path are.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

use crate::domain::{AddressPolicy, TlsMode};
use crate::permission::Permission;
use crate::plan::{Runtime, Storage};
use crate::tier::{Isolation, Tier};

/// The schema of `extension.toml`, draft 2020-12; checked in as `manifest.schema.json`.
#[must_use]
pub fn schema() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings).into_root_schema_for::<ExtensionToml>()
}

/// One entry of `[network] allow`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum NetworkRule {
    /// `host`, `host:80,443`, `*.host` or `*`.
    Text(String),
    /// With more to say.
    Table(RuleTable),
}

macro_rules! described {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$meta])*
            #[derive(JsonSchema)]
            #[schemars(deny_unknown_fields)]
            #[expect(dead_code, reason = "only its schema is used")]
            struct $name { $($(#[$field_meta])* $field: $type,)+ }

            #[cfg(test)]
            impl $name {
                const KEYS: &'static [&'static str] = &[$(stringify!($field),)+];
            }
        )+
    };
}

described! {
    /// The manifest of an extension: what its publisher claims and asks for. It grants nothing.
    struct ExtensionToml {
        /// Who it is.
        extension: ExtensionTable,
        /// What runs.
        run: RunTable,
        /// What it may do.
        permissions: Option<PermissionsTable>,
        /// Where it may connect to.
        network: Option<NetworkTable>,
        /// Which files of the host it sees.
        files: Option<FilesTable>,
        /// What `/data` is.
        storage: Option<StorageTable>,
        /// Lower limits than the tier gives.
        limits: Option<LimitsTable>,
    }

    /// Who it is.
    struct ExtensionTable {
        /// `publisher.name`: parts of a-z, 0-9 and inner -, joined by dots.
        #[schemars(length(max = 128), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"))]
        id: String,
        /// Name for people.
        #[schemars(length(min = 1, max = 128))]
        name: String,
        /// Semantic version.
        version: semver::Version,
        /// The part of the id before the first dot.
        #[schemars(length(max = 128), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
        publisher: String,
        /// The tier whose limits and permissions apply.
        tier: Tier,
        /// How much of the confinement applies; the tier's default where absent.
        isolation: Option<Isolation>,
    }

    /// What runs.
    struct RunTable {
        /// The program and its arguments; the program is looked up in PATH, or below the working directory with a slash in it.
        #[schemars(length(min = 1, max = 1024))]
        command: Vec<String>,
        /// Environment variables. Nothing of the host's environment passes; names beginning with SANDBOX are reserved.
        env: Option<BTreeMap<String, String>>,
        /// Whose programs and libraries it sees: the host's /usr (the default), or the bundle's rootfs/.
        runtime: Option<Runtime>,
        /// Working directory inside the sandbox; /ext, the bundle, where absent.
        #[schemars(regex(pattern = r"^/"))]
        workdir: Option<String>,
    }

    /// What it may do.
    struct PermissionsTable {
        /// The permissions that it asks for.
        request: Option<Vec<Permission>>,
    }

    /// Where it may connect to.
    struct NetworkTable {
        /// `host`, `host:80,443`, `*.host`, `*`, or a table; the port is 443 where absent.
        #[schemars(length(max = 256))]
        allow: Option<Vec<NetworkRule>>,
    }

    /// One destination.
    struct RuleTable {
        /// `host`, `*.host` or `*`.
        host: String,
        /// TCP ports; 443 where absent.
        ports: Option<Vec<u16>>,
        /// checked (the default): TLS with the host's name, or HTTP with it; opaque: any protocol.
        tls: Option<TlsMode>,
        /// public (the default) or private: whether the host may have a private address.
        addresses: Option<AddressPolicy>,
    }

    /// Which files of the host it sees. `dir`, `dir/*` and `dir/**` mean everything beneath `dir`.
    struct FilesTable {
        /// To read; needs `FILE_DOWNLOAD`.
        #[schemars(length(max = 256))]
        read: Option<Vec<String>>,
        /// To write, create and delete; needs `FILE_UPLOAD`.
        #[schemars(length(max = 256))]
        write: Option<Vec<String>>,
    }

    /// What `/data` is.
    struct StorageTable {
        /// none (the default), ephemeral (memory, gone at the end) or persistent (kept between runs).
        data: Option<Storage>,
    }

    /// Lower limits than the tier gives; whole numbers from 1.
    struct LimitsTable {
        /// Memory of all processes, temporary files included, in MiB.
        #[schemars(range(min = 1))]
        memory_mb: Option<u32>,
        /// CPU time per wall time, in percent of one core.
        #[schemars(range(min = 1))]
        cpu_percent: Option<u32>,
        /// What /data can hold, in MiB.
        #[schemars(range(min = 1))]
        disk_mb: Option<u32>,
        /// What /tmp can hold, in MiB.
        #[schemars(range(min = 1))]
        tmp_mb: Option<u32>,
        /// Wall clock, in milliseconds.
        #[schemars(range(min = 1))]
        timeout_ms: Option<u32>,
        /// Between SIGTERM and SIGKILL at the timeout, inside of it, in milliseconds.
        #[schemars(range(min = 1))]
        grace_ms: Option<u32>,
        /// Processes and threads at once.
        #[schemars(range(min = 1))]
        tasks: Option<u32>,
        /// Open file descriptors of one process.
        #[schemars(range(min = 1))]
        open_files: Option<u32>,
        /// Size of one file, in MiB.
        #[schemars(range(min = 1))]
        file_mb: Option<u32>,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ExtensionTable, ExtensionToml, FilesTable, LimitsTable, NetworkTable, PermissionsTable,
        RuleTable, RunTable, StorageTable, schema,
    };
    use crate::limits::Limits;
    use crate::manifest::Manifest;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifest.schema.json");

    /// `SANDBOXCTL_REGENERATE=1 cargo test -p sandboxctl-policies schema` writes the file anew.
    #[test]
    fn the_schema_is_the_one_checked_in() {
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("SANDBOXCTL_REGENERATE").is_some() {
            std::fs::write(FILE, &text).unwrap();
        }
        let found = std::fs::read_to_string(FILE).unwrap();
        assert!(found == text, "stale: run the tests with SANDBOXCTL_REGENERATE=1 and commit");
    }

    #[test]
    fn the_parser_knows_exactly_the_keys_of_the_schema() {
        assert_eq!(LimitsTable::KEYS, Limits::KEYS);
        assert_eq!(RuleTable::KEYS, crate::manifest::network::KEYS);
        let tables = [
            ("", ExtensionToml::KEYS),
            ("extension", ExtensionTable::KEYS),
            ("run", RunTable::KEYS),
            ("permissions", PermissionsTable::KEYS),
            ("network", NetworkTable::KEYS),
            ("files", FilesTable::KEYS),
            ("storage", StorageTable::KEYS),
            ("limits", LimitsTable::KEYS),
        ];
        for (table, keys) in tables {
            let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
            let lines: Vec<String> =
                keys.iter().map(|key| format!("{key} = 1979-05-27\n")).collect();
            let text = format!("{header}zzzzzzzzzzzz = 1\n{}", lines.concat());
            let found = Manifest::parse("extension.toml", text.as_bytes()).unwrap_err();
            let unknown: Vec<_> =
                found.iter().filter(|problem| problem.code == "unknown-key").collect();
            assert_eq!(unknown.len(), 1, "{table}: {found}");
            let mut known: Vec<&str> =
                unknown[0].hint.trim_start_matches("known keys are ").split(", ").collect();
            let mut keys = keys.to_vec();
            known.sort_unstable();
            keys.sort_unstable();
            assert_eq!(known, keys, "{table}");
        }
    }
}
