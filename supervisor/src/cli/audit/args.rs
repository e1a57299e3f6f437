//! What can be written after `sandboxctl audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use policies::violation::Severity;

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(super) command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Prove that nothing was changed; exits with 1 where something was
    Verify(VerifyArgs),
    /// Find events
    Query(QueryArgs),
    /// Print the last events, and with -f those that come
    Tail(TailArgs),
    /// Print events in the form of another system
    Export(ExportArgs),
    /// Sign what the log has come to; keep the result where this host cannot write
    Checkpoint(CheckpointArgs),
    /// Print the key that verifies this log's checkpoints
    Key,
    /// Remove segments that are older than the retention
    Prune(PruneArgs),
    /// Say what reaction rules would have done to past runs; changes nothing
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A checkpoint that was kept elsewhere: shows also what is missing at the end
    #[arg(long, value_name = "FILE")]
    pub(super) against: Option<PathBuf>,
    /// Trust these keys and not those beside the log: name+id+key, or a file of such lines
    #[arg(long, value_name = "KEY|FILE")]
    pub(super) key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// From this time on: RFC 3339, or ago: 90s, 15m, 2h, 7d, 3w
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Of this extension
    #[arg(long, value_name = "ID")]
    pub(super) ext: Option<String>,
    /// Of this type, such as decision or violation; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) kinds: Vec<String>,
    /// At least this severe
    #[arg(long, value_enum, ignore_case = true)]
    pub(super) severity: Option<Level>,
    /// Of this run
    #[arg(long, value_name = "RUN")]
    pub(super) run: Option<String>,
    /// With this code, of a violation or of a reason to refuse
    #[arg(long, value_name = "CODE")]
    pub(super) code: Option<String>,
}

/// The severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    Info,
    Warning,
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Critical => Self::Critical,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Print JSON Lines, as they are in the log
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// How many of the last events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(super) lines: usize,
    /// Go on with those that come, until interrupted
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Print JSON Lines, as they are in the log
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// The form
    #[arg(long, value_enum)]
    pub(super) format: ExportFormat,
}

/// Forms of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    /// The lines of the log, byte for byte
    Jsonl,
    /// Common Event Format
    Cef,
    /// Open Cybersecurity Schema Framework 1.8, as JSON Lines
    Ocsf,
}

#[derive(Debug, Args)]
pub(super) struct CheckpointArgs {
    /// Write it to this file instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Say what would go, and remove nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `audit replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Rules to try, instead of those that apply here
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,
    /// Only runs that began after this time, or less than this long ago: 24h, 7d
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
