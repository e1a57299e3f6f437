//! `sandboxctl keygen`, `sign` and `verify`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use policies::digest::Digest;
use policies::files::{FILE_LIST, SIGNATURE};
use serde::Serialize;

use super::Failure;
use super::output::{Table, json, text_out};
use crate::bundle::digest::sha256;
use crate::exit;
use crate::report::style::Style;
use crate::state::Dirs;
use crate::trust::certificate::Certificate;
use crate::trust::folder::{self, FolderError};
use crate::trust::pem;
use crate::trust::signer::{
    FileSigner, KEY_BITS, KeyBits, Passphrase, PassphraseSource, SignError, Signer,
};
use crate::trust::{Verdict, Verification};

/// Where the passphrase of a key comes from.
#[derive(Clone, Debug, Args)]
pub(super) struct PassphraseArgs {
    /// File whose first line is the passphrase; else `SANDBOXCTL_PASSPHRASE`, else the terminal
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    pub(super) fn source(&self) -> PassphraseSource {
        PassphraseSource { file: self.passphrase_file.clone() }
    }
}

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// New file for the private key, encrypted
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Length of the key: 2048, 3072 or 4096
    #[arg(long, default_value = "3072", value_parser = bits)]
    bits: KeyBits,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Print JSON instead of the public key
    #[arg(long)]
    json: bool,
}

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// Folder with extension.toml
    bundle: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    /// The signer's certificate in PEM, then its intermediates
    #[arg(long, value_name = "CHAIN")]
    cert: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which key signs.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct KeyArgs {
    /// File of the private key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Key in a hardware module, `pkcs11:token=..;object=..?module-path=..` of RFC 7512
    #[arg(long, value_name = "URI")]
    pkcs11: Option<String>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Folder with extension.toml, .sbx file, or sha256:DIGEST of a stored bundle
    bundle: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `--bits`.
pub(super) fn bits(text: &str) -> Result<KeyBits, String> {
    let found = KEY_BITS.iter().find(|(bits, _)| bits.to_string() == text);
    found.map(|(_, bits)| *bits).ok_or_else(|| "2048, 3072 or 4096".to_owned())
}

/// An error of a key.
pub(super) fn of_key(error: &SignError) -> Failure {
    Failure::new(error).hint(error.hint())
}

/// An error of a folder: exit code 126 where it is the bundle's.
fn of_folder(error: &FolderError) -> Failure {
    let code = match error {
        FolderError::Bundle(_)
        | FolderError::Manifest(_)
        | FolderError::Files(_)
        | FolderError::Certificate(_) => exit::REFUSED,
        FolderError::Trust(_) => exit::SUPERVISOR,
        FolderError::File { .. } | FolderError::Key(_) => exit::FAILED,
    };
    Failure::new(error).hint(error.hint()).code(code)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::new(format!("failed to read {}: {error}", path.display())))
}

/// The certificates of a file.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    pem::certificates(&read(path)?).map_err(|refusal| {
        Failure::new(format!("failed to use {}: {}", path.display(), refusal.reason))
            .hint(refusal.remedy.to_owned())
    })
}

/// Makes a key, and says so on a terminal while it takes its time.
pub(super) fn generate(bits: KeyBits) -> Result<FileSigner, Failure> {
    let progress = Style::of_stderr().terminal;
    if progress {
        eprint!("looking for primes ...");
    }
    let made = FileSigner::generate(bits);
    if progress {
        // Over the line, and clear it: ECMA-48, EL.
        eprint!("\r\x1b[K");
    }
    made.map_err(|error| of_key(&error))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    path: &'a Path,
    bits: u32,
    spki_sha256: Digest,
    public_key_pem: String,
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<ExitCode, Failure> {
    let what = format!("the new key {}", args.output.display());
    let passphrase = args.passphrase.source().choose(&what).map_err(|error| of_key(&error))?;
    let key = generate(args.bits)?;
    key.write(&args.output, &passphrase).map_err(|error| of_key(&error))?;
    let bits = KEY_BITS.iter().find(|(_, bits)| *bits == args.bits).map_or(0, |(bits, _)| *bits);
    let spki_sha256 = sha256(key.spki_der());
    if args.json {
        let public_key_pem = key.public_pem();
        return json(&Key { path: &args.output, bits, spki_sha256, public_key_pem });
    }
    eprintln!("made {}: RSA, {bits} bits, key {spki_sha256}", args.output.display());
    text_out(&key.public_pem())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    digest: Digest,
    files: usize,
    signer: String,
    spki_sha256: Digest,
    manifest: PathBuf,
    signature: PathBuf,
    bundle: &'a Path,
}

pub(super) fn sign(args: &SignArgs) -> Result<ExitCode, Failure> {
    let chain = certificates(&args.cert)?;
    let signer = open_key(&args.key, &args.passphrase)?;
    let made = folder::sign(&args.bundle, signer.as_ref(), &chain, SystemTime::now())
        .map_err(|error| of_folder(&error))?;
    let answer = Signed {
        digest: made.digest,
        files: made.files,
        signer: made.signer.subject(),
        spki_sha256: made.signer.spki_sha256(),
        manifest: args.bundle.join(FILE_LIST),
        signature: args.bundle.join(SIGNATURE),
        bundle: &args.bundle,
    };
    if args.json {
        return json(&answer);
    }
    eprintln!("signed {} files as {}, key {}", answer.files, answer.signer, answer.spki_sha256);
    text_out(&format!("{}\n", answer.digest))
}

fn open_key(args: &KeyArgs, passphrase: &PassphraseArgs) -> Result<Box<dyn Signer>, Failure> {
    if let Some(uri) = &args.pkcs11 {
        return open_module(uri, passphrase);
    }
    let path = args.key.as_deref().unwrap_or(Path::new(""));
    let passphrase = key_passphrase(passphrase, path)?;
    let key = FileSigner::read(path, &passphrase).map_err(|error| of_key(&error))?;
    Ok(Box::new(key))
}

/// Of an existing key.
pub(super) fn key_passphrase(args: &PassphraseArgs, path: &Path) -> Result<Passphrase, Failure> {
    args.source().get(&path.display().to_string()).map_err(|error| of_key(&error))
}

#[cfg(feature = "hsm")]
fn open_module(uri: &str, passphrase: &PassphraseArgs) -> Result<Box<dyn Signer>, Failure> {
    let signer = crate::trust::signer::pkcs11::Pkcs11Signer::open(uri, &passphrase.source())
        .map_err(|error| of_key(&error))?;
    Ok(Box::new(signer))
}

#[cfg(not(feature = "hsm"))]
fn open_module(_: &str, _: &PassphraseArgs) -> Result<Box<dyn Signer>, Failure> {
    Err(Failure::new("failed to open the PKCS#11 module: this binary is static and loads none")
        .hint("build one with the feature hsm, as README's section on signing says".to_owned()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified<'a> {
    extension_id: &'a str,
    version: String,
    tier: &'a str,
    digest: Digest,
    #[serde(flatten)]
    verification: &'a Verification,
}

pub(super) fn verify(args: &VerifyArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let found = folder::verify_bundle(&args.bundle, dirs, SystemTime::now())
        .map_err(|error| of_folder(&error))?;
    let answer = Verified {
        extension_id: &found.manifest.id,
        version: found.manifest.version.to_string(),
        tier: found.manifest.tier.name(),
        digest: found.digest,
        verification: &found.verification,
    };
    if args.json {
        json(&answer)?;
    } else {
        text_out(&render(&answer))?;
    }
    Ok(if found.verification.valid { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

fn render(answer: &Verified<'_>) -> String {
    let verification = answer.verification;
    let verdict = if verification.valid { "valid" } else { "not valid" };
    let Verified { extension_id, version, tier, digest, .. } = answer;
    let mut text = format!("{extension_id} {version} ({tier}): {verdict}\ndigest {digest}\n");
    // Writing to a String cannot fail.
    let mut line =
        |arguments: std::fmt::Arguments<'_>| text.write_fmt(arguments).unwrap_or_default();
    if let Some(signer) = &verification.signer {
        line(format_args!("signer {}, key {}\n", signer.subject, signer.spki_sha256));
        line(format_args!("issuer {}\n", signer.issuer));
    }
    let mut table = Table::default();
    for check in &verification.checks {
        let name = check.check.name();
        match &check.verdict {
            Verdict::Passed => table.row([name, "passed", ""]),
            Verdict::Waived(refusal) => table.row([name, "waived", &refusal.to_string()]),
            Verdict::Failed(refusal) => table.row([name, "FAILED", &refusal.to_string()]),
            Verdict::NotEvaluated { reason } => table.row([name, "not evaluated", reason]),
        };
    }
    text.push_str(&table.render(2));
    for refusal in verification.failures() {
        writeln!(text, "hint: {}: {}", refusal.code, refusal.remedy).unwrap_or_default();
    }
    text
}
