//! Arguments of `ext`, `review` and `vuln`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use policies::decision::ReviewLevel;
use policies::permission::Permission;
use policies::vulnerability::{Severity, Status};
use semver::Version;

use crate::registry::{Target, moment};

/// How to print, and who acts.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ActArgs {
    /// Who acts, for the record [default: SUDO_USER, or the user id]
    #[arg(long, value_name = "NAME", value_parser = actor)]
    pub(in crate::cli) actor: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Arguments of `ext`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExtArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: ExtCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ExtCommand {
    /// Register a bundle: a new extension, or a new version of one
    Register {
        /// Folder with extension.toml, or .sbx file
        bundle: PathBuf,
        /// When the registration ends
        #[arg(long, value_name = "DATE", value_parser = time)]
        expires: Option<SystemTime>,
        #[command(flatten)]
        act: ActArgs,
    },
    /// List the registered extensions
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print all that the registry holds about an extension
    Show {
        /// Extension
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the denial of permissions back, and say who stands for them
    Grant {
        /// Extension
        id: String,
        /// READ_WORK_ORDERS, ...
        #[arg(required = true, value_parser = permission)]
        permissions: Vec<Permission>,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Deny permissions, whatever the manifest asks for
    Deny {
        /// Extension
        id: String,
        /// READ_WORK_ORDERS, ...
        #[arg(required = true, value_parser = permission)]
        permissions: Vec<Permission>,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Let an extension run again
    Enable {
        /// Extension
        id: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Switch an extension off
    Disable {
        /// Extension
        id: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Set when a registration ends; now, where neither a date nor --never is given
    Expire {
        /// Extension
        id: String,
        /// When
        #[arg(long, value_name = "DATE", value_parser = time)]
        at: Option<SystemTime>,
        /// It does not end
        #[arg(long, conflicts_with = "at")]
        never: bool,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Forget an extension; the audit log keeps what was recorded
    Remove {
        /// Extension
        id: String,
        /// Also if it is disabled: where registration is optional, it could run then
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        act: ActArgs,
    },
}

/// Arguments of `review`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: ReviewCommand,
}

/// Which bundle, and what is said about it.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewOf {
    /// ID (its latest version), ID@VERSION, or a digest
    pub(in crate::cli) bundle: Target,
    /// What was looked at and found
    #[arg(long)]
    pub(in crate::cli) notes: String,
    /// Who reviewed [default: who acts]
    #[arg(long, value_name = "NAME", value_parser = actor)]
    pub(in crate::cli) reviewer: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) act: ActArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ReviewCommand {
    /// Ask for the security review of a bundle
    Request {
        /// ID (its latest version), ID@VERSION, or a digest
        bundle: Target,
        /// For the reviewer
        #[arg(long, default_value = "")]
        notes: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Approve a bundle
    Approve {
        #[command(flatten)]
        of: ReviewOf,
        /// How deep the review went: internal, restricted, critical
        #[arg(long, default_value = "internal", value_parser = level)]
        level: ReviewLevel,
        /// When the approval ends
        #[arg(long, value_name = "DATE", value_parser = time)]
        expires: Option<SystemTime>,
    },
    /// Reject a bundle
    Reject {
        #[command(flatten)]
        of: ReviewOf,
    },
    /// Take an approval back
    Revoke {
        #[command(flatten)]
        of: ReviewOf,
    },
    /// List reviews, of one extension or of all
    List {
        /// Extension
        id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `vuln`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VulnArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: VulnCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VulnCommand {
    /// Report a vulnerability of an extension
    Report(ReportArgs),
    /// List vulnerabilities, of one extension or of all
    List {
        /// Extension
        id: Option<String>,
        /// Also those that are settled
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one vulnerability
    Show {
        /// Its number
        number: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change where a vulnerability stands, or how bad it is
    Set(SetArgs),
    /// Settle a vulnerability: fixed in a version, not affected, or withdrawn
    Resolve {
        /// Its number
        number: i64,
        /// The first version without it; older ones still have it
        #[arg(long, value_name = "VERSION", required_unless_present_any = ["not_affected", "withdrawn"])]
        fixed_in: Option<Version>,
        /// The extension does not have it
        #[arg(long, conflicts_with_all = ["fixed_in", "withdrawn"])]
        not_affected: bool,
        /// The report was withdrawn
        #[arg(long, conflicts_with = "fixed_in")]
        withdrawn: bool,
        /// Why
        #[arg(long, default_value = "")]
        notes: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Import advisories of the OSV format: JSON files, folders of them, or a zip archive of them
    Import {
        /// Files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// The day that they show [default: that of the newest advisory]
        #[arg(long, value_name = "DATE", value_parser = time)]
        as_of: Option<SystemTime>,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Check the components of extensions against the imported advisories
    Scan {
        /// Extension
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Every extension
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[command(flatten)]
        act: ActArgs,
    },
}

/// Arguments of `vuln report`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// Extension
    pub(in crate::cli) id: String,
    /// One line
    #[arg(long)]
    pub(in crate::cli) title: String,
    /// Versions that have it: ">=1.2.0, <1.4.1 || =2.0.0"
    #[arg(long, value_name = "RANGES")]
    pub(in crate::cli) affected: String,
    /// low, medium, high, critical
    #[arg(long, value_parser = severity)]
    pub(in crate::cli) severity: Option<Severity>,
    /// CVSS 3.0, 3.1 or 4.0
    #[arg(long, value_name = "VECTOR")]
    pub(in crate::cli) cvss: Option<String>,
    /// CVE-YEAR-NUMBER
    #[arg(long)]
    pub(in crate::cli) cve: Option<String>,
    /// What it is, and what follows from it
    #[arg(long, default_value = "")]
    pub(in crate::cli) description: String,
    /// How to reproduce it
    #[arg(long, default_value = "")]
    pub(in crate::cli) reproduction: String,
    /// What would remedy it
    #[arg(long, default_value = "")]
    pub(in crate::cli) remediation: String,
    /// The day on which the publisher was told [default: now]
    #[arg(long, value_name = "DATE", value_parser = time)]
    pub(in crate::cli) reported: Option<SystemTime>,
    #[command(flatten)]
    pub(in crate::cli) act: ActArgs,
}

/// Arguments of `vuln set`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetArgs {
    /// Its number
    pub(in crate::cli) number: i64,
    /// open, triaged, fixed, not-affected, accepted, withdrawn
    #[arg(long, value_parser = status)]
    pub(in crate::cli) status: Option<Status>,
    /// Until when it is accepted
    #[arg(long, value_name = "DATE", value_parser = time)]
    pub(in crate::cli) until: Option<SystemTime>,
    /// The first version without it
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) fixed_in: Option<Version>,
    /// low, medium, high, critical
    #[arg(long, value_parser = severity)]
    pub(in crate::cli) severity: Option<Severity>,
    /// CVSS 3.0, 3.1 or 4.0
    #[arg(long, value_name = "VECTOR")]
    pub(in crate::cli) cvss: Option<String>,
    /// CVE-YEAR-NUMBER
    #[arg(long)]
    pub(in crate::cli) cve: Option<String>,
    /// Why
    #[arg(long, default_value = "")]
    pub(in crate::cli) notes: String,
    #[command(flatten)]
    pub(in crate::cli) act: ActArgs,
}

fn actor(text: &str) -> Result<String, String> {
    let plain = |letter: char| !letter.is_control();
    if text.is_empty() || text.len() > 200 || !text.chars().all(plain) {
        return Err("a name has 1 to 200 bytes and no control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn time(text: &str) -> Result<SystemTime, String> {
    moment::parse(text)
        .ok_or_else(|| "a date (2026-12-31) or a time (2026-12-31T12:00:00Z)".to_owned())
}

fn permission(text: &str) -> Result<Permission, String> {
    Permission::parse(text)
        .ok_or_else(|| "there is no such permission; see sandboxctl tiers".to_owned())
}

fn level(text: &str) -> Result<ReviewLevel, String> {
    ReviewLevel::parse(text).ok_or_else(|| "public, internal, restricted or critical".to_owned())
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| "low, medium, high or critical".to_owned())
}

fn status(text: &str) -> Result<Status, String> {
    let names: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
    Status::parse(text).ok_or_else(|| names.join(", "))
}
