//! What can be written on the command line.

pub(super) mod registry;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use policies::digest::{Digest, NoDigest};

/// Of help texts, in columns.
pub(super) const WIDTH: usize = 100;

/// Runs untrusted extensions in a full sandbox and records what they try.
#[derive(Debug, Parser)]
#[command(version, max_term_width = WIDTH, propagate_version = true)]
#[command(after_help = "\
Exit codes of `run`: the extension's own; 124 timed out; 125 the supervisor or a layer failed;
126 refused by policy; 127 entry command not found; 128+n ended by signal n (137: a limit or a rule).
Folders: SANDBOXCTL_STATE_DIR, SANDBOXCTL_CONFIG_DIR, SANDBOXCTL_RUN_DIR.")]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run an extension in its sandbox
    Run(RunArgs),
    /// Say whether a bundle may run, with every reason against it
    Check(BundleArgs),
    /// Print the sandbox that a bundle would get, without running anything
    Explain(ExplainArgs),
    /// Say what this host offers and lacks, and what to do about it
    Doctor(OutputArgs),
    /// Make a new extension that works at once
    Init(InitArgs),
    /// Look at what an extension keeps in its /data
    Data(DataArgs),
    /// Pack a folder into one .sbx file
    Pack(PackArgs),
    /// Look after the store of verified bundles
    Store(StoreArgs),
    /// Register extensions, and decide what they may do
    Ext(registry::ExtArgs),
    /// Review bundles
    Review(registry::ReviewArgs),
    /// Report, find and settle vulnerabilities
    Vuln(registry::VulnArgs),
    /// Print the tiers and what each gives
    Tiers(OutputArgs),
    /// Make a private key, encrypted
    Keygen(super::signing::KeygenArgs),
    /// Sign a bundle
    Sign(super::signing::SignArgs),
    /// Verify a bundle's files and signature, with the verdict of every check
    Verify(super::signing::VerifyArgs),
    /// Run a certificate authority
    Ca(super::ca::CaArgs),
    /// Decide whom this host trusts
    Trust(super::trust::TrustArgs),
    /// List every code of a violation or decision, with what to do about it
    Codes(CodesArgs),
    /// Prove on this host that attacks are refused and recorded
    Selftest(SelftestArgs),
    /// The hostile program of `selftest`; refuses to run outside of its sandbox
    #[command(hide = true)]
    SelftestProbe {
        /// Which actions
        words: Vec<String>,
    },
    /// List the runs of this host
    Ps(OutputArgs),
    /// Show what live runs use now
    Top(TopArgs),
    /// Ask live runs to end
    Kill(KillArgs),
    /// Show the rules of what follows from violations, and whom they have disabled
    Reactions(ReactionsArgs),
    /// Show what the runs of an extension used
    Stats(StatsArgs),
    /// Clear what killed supervisors left behind
    Gc(GcArgs),
    /// Verify, search, export and prune the audit log
    Audit(super::audit::args::AuditArgs),
    /// Print a completion script
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Folder with extension.toml, .sbx file, id of a registered extension (ID, ID@VERSION), or sha256:DIGEST
    pub(super) bundle: PathBuf,
    /// Arguments for the extension, after those of its manifest
    #[arg(last = true, value_name = "ARG")]
    pub(super) arguments: Vec<String>,
    /// Run although signature, review or registration are missing; loosens no layer
    #[arg(long)]
    pub(super) dev: bool,
    /// Write the report as JSON to this file, or to stdout with `-`
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Write the report as JSON to this descriptor
    #[arg(long, value_name = "N", conflicts_with = "report")]
    pub(super) report_fd: Option<i32>,
    /// Between samples of usage, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(super) sample_ms: u64,
    /// No table and no violations on stderr
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// A bundle and how to print.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Folder with extension.toml, .sbx file, id of a registered extension (ID, ID@VERSION), or sha256:DIGEST
    pub(super) bundle: PathBuf,
    /// As if run with --dev
    #[arg(long)]
    pub(super) dev: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) of: BundleArgs,
    /// Say which rule allows or denies this destination
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) why: Option<String>,
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Folder to make; its name becomes the extension's
    pub(super) dir: PathBuf,
    /// Language of the example
    #[arg(long, value_enum, default_value_t = Lang::Python)]
    pub(super) lang: Lang,
    /// Publisher, the first part of the id
    #[arg(long, default_value = "example")]
    pub(super) publisher: String,
}

/// Languages with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    /// `python3` of the host
    Python,
    /// `node` of the host
    Node,
    /// `bash` of the host
    Shell,
    /// A static binary, built now
    Rust,
}

/// Arguments of `data`.
#[derive(Debug, Args)]
pub(super) struct DataArgs {
    #[command(subcommand)]
    pub(super) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// List files
    Ls {
        /// Extension
        id: String,
        /// Folder inside its /data
        #[arg(default_value = "/")]
        path: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a file, or write it to -o
    Get {
        /// Extension
        id: String,
        /// File inside its /data
        path: String,
        /// Write here instead of to stdout
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Remove everything that an extension kept
    Rm {
        /// Extension
        id: String,
    },
}

/// Arguments of `codes`.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct CodesArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Print a page of Markdown
    #[arg(long, conflicts_with = "json")]
    pub(super) markdown: bool,
}

/// Arguments of `selftest`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every action was blocked and recorded; 1 one was not; 3 all were blocked, and this host
cannot record some of them; 125 the selftest could not be done.")]
pub(super) struct SelftestArgs {
    /// The tier whose sandbox is tested
    #[arg(long, default_value = "community",
        value_parser = ["community", "professional", "enterprise"])]
    pub(super) tier: String,
    /// Also flood each recorder and compare its totals with what the program did
    #[arg(long)]
    pub(super) flood: bool,
    /// Print the catalogue of actions, and do nothing
    #[arg(long)]
    pub(super) list: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `reactions`.
#[derive(Debug, Args)]
pub(super) struct ReactionsArgs {
    #[command(subcommand)]
    pub(super) command: ReactionsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReactionsCommand {
    /// List the rules that apply here, and the extensions that one has disabled
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let an extension run again that a rule has disabled
    Clear {
        /// Extension
        id: String,
    },
}

/// Arguments of `top`.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct TopArgs {
    /// Print once and end; so does an output that is no terminal
    #[arg(long)]
    pub(super) once: bool,
    /// Print JSON, once
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `kill`.
#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// Run, or extension for all of its runs
    #[arg(value_name = "RUN|EXT")]
    pub(super) target: String,
    /// At once, without the grace period that the extension may use to end by itself
    #[arg(long)]
    pub(super) now: bool,
}

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// Extension; all of them in short where absent
    pub(super) id: Option<String>,
    /// The newest runs to look at
    #[arg(long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) last: u32,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `gc`.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct GcArgs {
    /// Also remove the kernel's audit rule that runs leave in place (see ARCHITECTURE.md)
    #[arg(long)]
    pub(super) audit_rule: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `pack`.
#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// Folder with extension.toml; if it has a MANIFEST, its files must be what that says
    pub(super) dir: PathBuf,
    /// Write the archive here
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(super) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `store`.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    pub(super) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// List the bundles in the store
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare every stored file with its list again
    Verify {
        /// Names, lengths, modes and owners only
        #[arg(long)]
        shallow: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove bundles that no run uses, and what killed commands left
    Gc {
        /// Keep this bundle
        #[arg(long, value_name = "DIGEST", value_parser = digest)]
        keep: Vec<Digest>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// With or without the prefix that a bundle is named by.
fn digest(text: &str) -> Result<Digest, NoDigest> {
    text.strip_prefix("sha256:").unwrap_or(text).parse()
}
