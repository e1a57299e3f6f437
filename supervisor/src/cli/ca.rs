//! `sandboxctl ca`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Failure;
use super::output::{Table, json, text_out};
use super::signing::{PassphraseArgs, bits, generate, of_key, read};
use crate::trust::ca::{
    self, Authority, CaError, Index, Issued, NEXT_UPDATE_DAYS, Order, Reason, Settings,
};
use crate::trust::certificate::Certificate;
use crate::trust::pem;
use crate::trust::signer::{KeyBits, Passphrase, PassphraseSource, Signer};

/// Arguments of `ca`.
#[derive(Debug, Args)]
pub(super) struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make an authority: root, intermediate, revocation lists
    Init {
        /// Folder to make
        dir: PathBuf,
        /// Names it, in the subjects of its certificates
        #[arg(long, default_value = "sandboxctl")]
        name: String,
        /// Length of its keys: 2048, 3072 or 4096
        #[arg(long, default_value = "3072", value_parser = bits)]
        bits: KeyBits,
        /// How long the root is valid
        #[arg(long, value_name = "DAYS", default_value_t = 3650,
            value_parser = clap::value_parser!(u32).range(365..=10_950))]
        root_days: u32,
        /// How long each intermediate is valid
        #[arg(long, value_name = "DAYS", default_value_t = 1825,
            value_parser = clap::value_parser!(u32).range(91..=10_950))]
        intermediate_days: u32,
        /// When revocation lists are to be replaced
        #[arg(long, value_name = "DAYS", default_value_t = NEXT_UPDATE_DAYS,
            value_parser = clap::value_parser!(u32).range(1..=365))]
        next_update: u32,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Issue a certificate for signing code
    Issue(IssueArgs),
    /// Revoke a certificate or an intermediate, and make its issuer's list again
    Revoke {
        /// Folder of the authority
        dir: PathBuf,
        /// Serial number, hexadecimal
        serial: String,
        /// Why
        #[arg(long, default_value = "unspecified", value_parser = reason)]
        reason: Reason,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Make the revocation lists again
    Crl {
        /// Folder of the authority
        dir: PathBuf,
        /// When they are to be replaced, from now on
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=365))]
        next_update: Option<u32>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// List what was issued, with its status
    List {
        /// Folder of the authority
        dir: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new intermediate; what the old one issued stays valid
    Rotate {
        /// Folder of the authority
        dir: PathBuf,
        /// Length of its key: 2048, 3072 or 4096
        #[arg(long, default_value = "3072", value_parser = bits)]
        bits: KeyBits,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

/// Arguments of `ca issue`.
#[derive(Debug, Args)]
struct IssueArgs {
    /// Folder of the authority
    dir: PathBuf,
    /// Whose extensions it may sign: what their ids begin with
    #[arg(long)]
    publisher: String,
    /// Common name of the certificate; the publisher's unless given
    #[arg(long)]
    name: Option<String>,
    /// How long it is valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(90..=3650))]
    days: u32,
    #[command(flatten)]
    key: KeySource,
    /// Write the certificate and its intermediate here instead of to stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// File whose first line is the passphrase of the new key; the authority's unless given
    #[arg(long, value_name = "FILE", requires = "new_key")]
    key_passphrase_file: Option<PathBuf>,
}

/// Whose key is certified.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct KeySource {
    /// Request of the publisher, PKCS#10 in PEM
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Public key of the publisher, PEM
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// New file for a key that is made now, of 3072 bits
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

fn reason(text: &str) -> Result<Reason, String> {
    let found = Reason::ALL.iter().find(|(name, _)| *name == text);
    let names = || Reason::ALL.map(|(name, _)| name).join(", ");
    found.map(|(_, reason)| *reason).ok_or_else(names)
}

fn failed(error: &CaError) -> Failure {
    Failure::new(error).hint(error.hint())
}

fn open(dir: &Path) -> Result<Authority, Failure> {
    Authority::open(dir).map_err(|error| failed(&error))
}

fn passphrase(args: &PassphraseArgs, dir: &Path) -> Result<Passphrase, Failure> {
    let what = format!("the authority {}", dir.display());
    args.source().get(&what).map_err(|error| of_key(&error))
}

pub(super) fn main(args: &CaArgs) -> Result<ExitCode, Failure> {
    let now = SystemTime::now();
    match &args.command {
        CaCommand::Init {
            dir,
            name,
            bits,
            root_days,
            intermediate_days,
            next_update,
            passphrase,
        } => {
            let settings = Settings {
                name: name.clone(),
                bits: *bits,
                root_days: *root_days,
                intermediate_days: *intermediate_days,
                next_update_days: *next_update,
            };
            init(dir, &settings, passphrase, now)
        }
        CaCommand::Issue(args) => issue(args, now),
        CaCommand::Revoke { dir, serial, reason, passphrase: source } => {
            let passphrase = passphrase(source, dir)?;
            let mut authority = open(dir)?;
            let done = authority.revoke(serial, *reason, &passphrase, now);
            done.map_err(|error| failed(&error))?;
            eprintln!("revoked {serial}; hosts learn of it by the lists:");
            text_out(&paths(&authority.crls()))
        }
        CaCommand::Crl { dir, next_update, passphrase: source } => {
            let passphrase = passphrase(source, dir)?;
            let made = open(dir)?.publish(*next_update, &passphrase, now);
            text_out(&paths(&made.map_err(|error| failed(&error))?))
        }
        CaCommand::List { dir, json } => list(dir, *json, now),
        CaCommand::Rotate { dir, bits, passphrase: source } => {
            let passphrase = passphrase(source, dir)?;
            let made = open(dir)?.rotate(*bits, &passphrase, now);
            describe(&made.map_err(|error| failed(&error))?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn init(
    dir: &Path,
    settings: &Settings,
    source: &PassphraseArgs,
    now: SystemTime,
) -> Result<ExitCode, Failure> {
    let what = format!("the new authority {}", dir.display());
    let passphrase = source.source().choose(&what).map_err(|error| of_key(&error))?;
    let authority = Authority::init(dir, settings, &passphrase, now);
    let authority = authority.map_err(|error| failed(&error))?;
    describe(&authority.root().map_err(|error| failed(&error))?);
    eprintln!("hosts that are to trust it: sandboxctl trust add issuer, and trust add crl, with");
    let mut files = vec![dir.join("root.pem")];
    files.extend(authority.crls());
    text_out(&paths(&files))
}

fn issue(args: &IssueArgs, now: SystemTime) -> Result<ExitCode, Failure> {
    let KeySource { csr, public_key, new_key } = &args.key;
    let authority_passphrase = passphrase(&args.passphrase, &args.dir)?;
    let mut authority = open(&args.dir)?;
    let spki = match (csr, public_key, new_key) {
        (Some(path), ..) => ca::signing_request(&read(path)?).map_err(|error| failed(&error))?,
        (_, Some(path), _) => ca::public_key(&read(path)?).map_err(|error| failed(&error))?,
        (.., Some(path)) => {
            let source = match &args.key_passphrase_file {
                Some(file) => PassphraseSource { file: Some(file.clone()) },
                None => args.passphrase.source(),
            };
            let what = format!("the new key {}", path.display());
            let passphrase = source.choose(&what).map_err(|error| of_key(&error))?;
            let key = generate(KeyBits::default())?;
            key.write(path, &passphrase).map_err(|error| of_key(&error))?;
            eprintln!("made {}", path.display());
            key.spki_der().to_vec()
        }
        (None, None, None) => return Err(Failure::new("failed to issue: no key was given")),
    };
    let order = Order {
        spki: &spki,
        publisher: &args.publisher,
        name: args.name.as_deref().unwrap_or(&args.publisher),
        days: args.days,
    };
    let chain = authority.issue(&order, &authority_passphrase, now);
    let chain = chain.map_err(|error| failed(&error))?;
    chain.iter().take(1).for_each(describe);
    let text = pem::encode_certificates(&chain);
    match &args.output {
        None => text_out(&text),
        Some(path) => {
            std::fs::write(path, text).map_err(|error| {
                Failure::new(format!("failed to write {}: {error}", path.display()))
                    .hint("the certificate is in certs/ of the authority".to_owned())
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn paths(files: &[PathBuf]) -> String {
    let lines: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    lines.join("\n") + "\n"
}

/// What was made.
fn describe(certificate: &Certificate) {
    eprintln!(
        "issued {}, serial {}, valid until {}, key {}",
        certificate.subject(),
        certificate.serial(),
        day(certificate.not_after()),
        certificate.spki_sha256()
    );
}

/// The day, UTC.
pub(super) fn day(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "never".to_owned(), |time| time.to_string().chars().take(10).collect())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    #[serde(flatten)]
    index: &'a Index,
    behind: Vec<&'a str>,
}

fn list(dir: &Path, as_json: bool, now: SystemTime) -> Result<ExitCode, Failure> {
    let authority = open(dir)?;
    let (index, behind) = (authority.index(), authority.behind());
    if !behind.is_empty() {
        eprintln!(
            "the revocation list of {} is not the latest: sandboxctl ca crl",
            behind.join(", ")
        );
    }
    if as_json {
        return json(&Listing { index, behind });
    }
    let mut table = Table::default();
    table.row(["serial", "status", "until", "issuer", "subject"]);
    for issuer in &index.issuers {
        let status = if issuer.revoked.is_some() { "revoked" } else { "valid" };
        let until = day(at(issuer.not_after));
        table.row([&issuer.serial, status, &until, &issuer.file, &issuer.subject]);
    }
    for issued in &index.certificates {
        let Issued { serial, issuer, subject, .. } = issued;
        let until = day(at(issued.not_after));
        table.row([serial, issued.status(now), &until, issuer, subject]);
    }
    text_out(&table.render(0))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}
