//! `sandboxctl trust`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use policies::digest::Digest;
use policies::violation::Severity;
use serde::Serialize;
use serde_json::json;

use super::ca::day;
use super::output::{Table, json as print_json, text_out};
use super::signing::{certificates, read};
use super::{Failure, acts};
use crate::exit;
use crate::record::audit::EventType;
use crate::state::Dirs;
use crate::trust::anchors::{
    Denied, EntryKind, Publisher, PublisherStatus, TrustStore, TrustStoreError,
};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::pem;

/// Arguments of `trust`.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Trust an issuer or a publisher, take a revocation list, or deny a key or a bundle
    #[command(subcommand)]
    Add(Add),
    /// Take that back
    #[command(subcommand)]
    Remove(Remove),
    /// List what this host trusts and denies
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Add {
    /// A root certificate
    Issuer {
        /// PEM file
        file: PathBuf,
    },
    /// A revocation list
    Crl {
        /// PEM file
        file: PathBuf,
    },
    /// A publisher; what is not given stays as it is
    Publisher {
        /// What the ids of their extensions begin with
        id: String,
        /// How well the host knows them
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// SHA-256 of a public key info to pin; may be repeated
        #[arg(long, value_name = "SHA256")]
        key: Vec<Digest>,
        /// PEM file of a certificate whose key to pin; may be repeated
        #[arg(long, value_name = "FILE")]
        cert: Vec<PathBuf>,
        /// Unpin every other key
        #[arg(long)]
        replace_keys: bool,
        /// Who checked it, when, by what evidence
        #[arg(long)]
        note: Option<String>,
    },
    /// Deny a key, whoever certified it
    DeniedKey {
        /// SHA-256 of the public key info
        sha256: Digest,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Deny a bundle, whoever signed it
    DeniedDigest {
        /// Digest of the bundle
        sha256: Digest,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(Debug, Subcommand, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Remove {
    /// A root certificate
    Issuer {
        /// Fingerprint, as `trust list` prints it
        sha256: String,
    },
    /// A revocation list
    Crl {
        /// As `trust list` prints it
        id: String,
    },
    /// A publisher
    Publisher {
        /// Their id
        id: String,
    },
    /// A denied key
    DeniedKey {
        /// SHA-256 of the public key info
        sha256: Digest,
    },
    /// A denied bundle
    DeniedDigest {
        /// Digest of the bundle
        sha256: Digest,
    },
}

/// `--status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// Nobody has checked who they are
    Unverified,
    /// The operator has, and pinned their keys
    Verified,
    /// Nothing of theirs runs
    Suspended,
}

impl From<Status> for PublisherStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Unverified => Self::Unverified,
            Status::Verified => Self::Verified,
            Status::Suspended => Self::Suspended,
        }
    }
}

fn failed(error: &TrustStoreError) -> Failure {
    let code = match error {
        TrustStoreError::Content { .. } | TrustStoreError::File { .. } => exit::SUPERVISOR,
        TrustStoreError::Unfit { .. } | TrustStoreError::Absent { .. } => exit::FAILED,
    };
    Failure::new(error).hint(error.hint()).code(code)
}

pub(super) fn main(args: &TrustArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match &args.command {
        TrustCommand::Add(add) => {
            let path = add_entry(add, dirs)?;
            eprintln!("wrote {}", path.display());
            Ok(ExitCode::SUCCESS)
        }
        TrustCommand::Remove(remove) => {
            put_on_record(dirs, "remove", remove)?;
            remove_entry(remove, &dirs.config).map_err(|error| failed(&error))?;
            Ok(ExitCode::SUCCESS)
        }
        TrustCommand::List { json } => list(&dirs.config, *json),
    }
}

/// Before it is done: whom the host trusts must not change without a record.
fn put_on_record(dirs: &Dirs, act: &str, entry: &impl Serialize) -> Result<(), Failure> {
    let data = json!({ "act": act, "entry": entry });
    acts::record(dirs, "", EventType::TrustChanged, Severity::Warning, &data)
}

fn add_entry(add: &Add, dirs: &Dirs) -> Result<PathBuf, Failure> {
    let config = &dirs.config;
    if !matches!(add, Add::Issuer { .. }) {
        put_on_record(dirs, "add", add)?;
    }
    let written = match add {
        Add::Issuer { file } => {
            let found = certificates(file)?;
            let [certificate] = &found[..] else {
                let reason = format!("it has {} certificates, and one root is wanted", found.len());
                return Err(Failure::new(format!("failed to use {}: {reason}", file.display())));
            };
            eprintln!(
                "compare with its publisher: SHA-256 fingerprint {}",
                certificate.fingerprint()
            );
            let (sha256, subject) = (certificate.fingerprint(), certificate.subject());
            let entry =
                json!({ "what": "issuer", "file": file, "sha256": sha256, "subject": subject });
            put_on_record(dirs, "add", &entry)?;
            TrustStore::add_issuer(config, certificate, SystemTime::now())
        }
        Add::Crl { file } => {
            let crl = pem::crl(&read(file)?).map_err(|refusal| {
                Failure::new(format!("failed to use {}: {}", file.display(), refusal.reason))
            })?;
            TrustStore::add_crl(config, &crl)
        }
        Add::Publisher { id, status, key, cert, replace_keys, note } => {
            let store = TrustStore::load_for(config, id).map_err(|error| failed(&error))?;
            let known = store.publishers().next().map(|(_, publisher)| publisher.clone());
            let mut publisher: Publisher = known.unwrap_or_default();
            if *replace_keys {
                publisher.keys.clear();
            }
            publisher.keys.extend(key);
            for file in cert {
                publisher.keys.extend(certificates(file)?.first().map(Certificate::spki_sha256));
            }
            publisher.keys.sort();
            publisher.keys.dedup();
            publisher.status = status.map_or(publisher.status, Into::into);
            publisher.note = note.clone().unwrap_or(publisher.note);
            TrustStore::add_publisher(config, id, &publisher)
        }
        Add::DeniedKey { sha256, note } => TrustStore::deny_key(config, *sha256, note),
        Add::DeniedDigest { sha256, note } => TrustStore::deny_digest(config, *sha256, note),
    };
    written.map_err(|error| failed(&error))
}

fn remove_entry(remove: &Remove, config: &Path) -> Result<(), TrustStoreError> {
    match remove {
        Remove::Issuer { sha256 } => TrustStore::remove(config, EntryKind::Issuer, sha256),
        Remove::Crl { id } => TrustStore::remove(config, EntryKind::Crl, id),
        Remove::Publisher { id } => TrustStore::remove(config, EntryKind::Publisher, id),
        Remove::DeniedKey { sha256 } => TrustStore::allow(config, true, *sha256),
        Remove::DeniedDigest { sha256 } => TrustStore::allow(config, false, *sha256),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IssuerEntry {
    sha256: Digest,
    subject: String,
    not_after: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CrlEntry {
    id: Digest,
    issuer: String,
    number: String,
    next_update: String,
    stale: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublisherEntry<'a> {
    id: &'a str,
    status: PublisherStatus,
    keys: &'a [Digest],
    note: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    issuers: Vec<IssuerEntry>,
    crls: Vec<CrlEntry>,
    publishers: Vec<PublisherEntry<'a>>,
    denied: &'a Denied,
}

fn list(config: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let store = TrustStore::load(config).map_err(|error| failed(&error))?;
    let now = SystemTime::now();
    let issuers = store.issuers().iter().map(|issuer| IssuerEntry {
        sha256: issuer.fingerprint(),
        subject: issuer.subject(),
        not_after: day(issuer.not_after()),
    });
    let crl = |crl: &Crl| CrlEntry {
        id: crl.scope(),
        issuer: crl.issuer(),
        number: crl.number(),
        next_update: day(crl.next_update()),
        stale: now > crl.next_update(),
    };
    let publishers = store.publishers().map(|(id, publisher)| PublisherEntry {
        id,
        status: publisher.status,
        keys: &publisher.keys,
        note: &publisher.note,
    });
    let listing = Listing {
        issuers: issuers.collect(),
        crls: store.crls().iter().map(crl).collect(),
        publishers: publishers.collect(),
        denied: store.denied(),
    };
    if as_json { print_json(&listing) } else { text_out(&render(&listing)) }
}

fn render(listing: &Listing<'_>) -> String {
    let mut table = Table::default();
    for IssuerEntry { sha256, subject, not_after } in &listing.issuers {
        table.row(["issuer", &sha256.to_string(), &format!("{subject}, until {not_after}")]);
    }
    for CrlEntry { id, issuer, number, next_update, stale } in &listing.crls {
        let stale = if *stale { ", STALE" } else { "" };
        let detail = format!("{issuer}, number {number}, next {next_update}{stale}");
        table.row(["crl", &id.to_string(), &detail]);
    }
    for PublisherEntry { id, status, keys, note } in &listing.publishers {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let detail = format!("{}, keys [{}] {note}", status.name(), keys.join(" "));
        table.row(["publisher", id, detail.trim()]);
    }
    for denial in &listing.denied.keys {
        table.row(["denied-key", &denial.sha256.to_string(), &denial.note]);
    }
    for denial in &listing.denied.digests {
        table.row(["denied-digest", &denial.sha256.to_string(), &denial.note]);
    }
    table.render(0)
}
