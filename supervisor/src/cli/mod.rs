//! The command line: one subcommand a file. stdout is data, stderr is for people.

mod acts;
mod args;
mod audit;
mod ca;
mod check;
mod codes;
mod data;
mod doctor;
mod explain;
mod ext;
mod gc;
mod init;
mod kill;
mod output;
mod pack;
mod ps;
mod review;
mod reactions;
mod run;
mod store;
mod vuln;
mod signing;
mod selftest;
mod stats;
mod tiers;
mod trust;
mod top;

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser};

pub use args::Cli;
use args::{Command, RunArgs};

use crate::admit::AdmitError;
use crate::exit;
use crate::state::Dirs;
use crate::state::config::Config;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A command that failed: what to print, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    #[expect(clippy::needless_pass_by_value, reason = "map_err hands an error over by value")]
    fn new(message: impl ToString) -> Self {
        Self { message: message.to_string(), hint: None, code: exit::FAILED }
    }

    fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

/// Parses the arguments, runs the command, prints what failed; the only place that does.
#[must_use]
pub fn main() -> ExitCode {
    let command = command();
    log();
    let dirs = Dirs::from_environment(|name| std::env::var_os(name));
    match dispatch(command, &dirs) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("sandboxctl: {}", failure.message);
            if let Some(hint) = failure.hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(failure.code)
        }
    }
}

/// What is to be done. A launch pays for the arguments of `run` only: the others are many, and building all of them takes
/// longer than deciding on a bundle.
fn command() -> Command {
    let mut words = std::env::args_os();
    if words.nth(1).is_none_or(|word| word != "run") {
        return Cli::parse().command;
    }
    let run =
        clap::Command::new("sandboxctl-run").bin_name("sandboxctl run").max_term_width(args::WIDTH);
    let run = RunArgs::augment_args(run).about("Run an extension in its sandbox").version(VERSION);
    let parsed = run.get_matches_from(std::iter::once("run".into()).chain(words));
    match RunArgs::from_arg_matches(&parsed) {
        Ok(run) => Command::Run(run),
        Err(error) => error.exit(),
    }
}

fn dispatch(command: Command, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => run::main(&args, dirs),
        Command::Check(args) => check::main(&args, dirs),
        Command::Doctor(args) => doctor::main(args, dirs),
        Command::Init(args) => init::main(&args),
        Command::Data(args) => data::main(&args, dirs),
        Command::Pack(args) => pack::main(&args, dirs),
        Command::Store(args) => store::main(&args, dirs),
        Command::Ext(args) => ext::main(&args, dirs),
        Command::Review(args) => review::main(&args, dirs),
        Command::Vuln(args) => vuln::main(&args, dirs),
        Command::Keygen(args) => signing::keygen(&args),
        Command::Sign(args) => signing::sign(&args),
        Command::Verify(args) => signing::verify(&args, dirs),
        Command::Ca(args) => ca::main(&args),
        Command::Trust(args) => trust::main(&args, dirs),
        Command::Tiers(args) => tiers::main(args, dirs),
        Command::Codes(args) => codes::main(args),
        Command::Ps(args) => ps::main(args, dirs),
        Command::Explain(args) => explain::main(&args, dirs),
        Command::Reactions(args) => reactions::main(&args, dirs),
        Command::Top(args) => top::main(args, dirs),
        Command::Kill(args) => kill::main(&args, dirs),
        Command::Stats(args) => stats::main(&args, dirs),
        Command::Gc(args) => gc::main(args, dirs),
        Command::Audit(args) => audit::main(args, dirs),
        Command::Selftest(args) => selftest::main(&args, dirs),
        Command::SelftestProbe { words } => Ok(crate::selftest::probe::main(&words)),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "sandboxctl",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The operator's configuration.
fn configured(dirs: &Dirs) -> Result<Config, Failure> {
    Config::load(&dirs.config).map_err(|error| Failure::new(&error).hint(error.hint()))
}

/// A bundle or configuration that got no decision. Refused like any other bundle: nothing was started.
fn admitted(error: &AdmitError) -> Failure {
    let code = match error {
        AdmitError::Config(_)
        | AdmitError::PolicyFile(_)
        | AdmitError::Policies(_)
        | AdmitError::Trust(_)
        | AdmitError::Registry(_) => exit::SUPERVISOR,
        AdmitError::Bundle(error) if error.is_of_the_host() => exit::SUPERVISOR,
        AdmitError::Bundle(_) | AdmitError::Manifest(_) | AdmitError::DevForbidden { .. } => {
            exit::REFUSED
        }
    };
    Failure::new(error).hint(error.hint()).code(code)
}

/// Logs for developers, only where `SANDBOXCTL_LOG` asks: setting a subscriber up costs every launch otherwise.
fn log() {
    let level = match std::env::var("SANDBOXCTL_LOG").as_deref() {
        Ok("error") => tracing::Level::ERROR,
        Ok("warn") => tracing::Level::WARN,
        Ok("info") => tracing::Level::INFO,
        Ok("debug") => tracing::Level::DEBUG,
        Ok("trace") => tracing::Level::TRACE,
        _ => return,
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).finish();
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        eprintln!("sandboxctl: failed to start the log: there is one already");
    }
}
