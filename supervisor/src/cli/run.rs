//! `sandboxctl run`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policies::decision::Verdict;

use super::args::RunArgs;
use super::check::{dev, render};
use super::output::json;
use super::{Failure, admitted};
use crate::admit::Rules;
use crate::bundle::{Purpose, closed};
use crate::exit::{self, End};
use crate::launch::{self, Options};
use crate::report::style::Style;
use crate::report::{Report, human};
use crate::state::Dirs;

pub(super) fn main(args: &RunArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let decided = rules
        .decide(&args.bundle, dev(args.dev), Purpose::Run)
        .map_err(|error| admitted(&error))?;
    let decision = decided.decision.clone();
    let listed = decided.bundle.statement().is_some();
    let options = Options {
        dev: dev(args.dev),
        sample_ms: args.sample_ms,
        quiet: args.quiet,
        arguments: args.arguments.clone(),
    };
    if decision.verdict == Verdict::AllowedForDevelopment {
        eprint!("sandboxctl: warning: development run: {}", render(&decision));
    }
    let output = Output::open(args)?;
    match launch::run(decided, &rules, dirs, &options) {
        Ok(finished) => {
            if finished.end == End::Refused {
                eprint!("sandboxctl: {}", render(&decision));
            } else if !args.quiet {
                eprint!("{}", human::render(&finished.report, Style::of_stderr()));
            }
            output.write(&finished.report)?;
            if matches!(finished.end, End::Exited(1..) | End::NotFound) && !args.quiet && !listed {
                closed_files(&args.bundle);
            }
            Ok(finished.end.into())
        }
        Err(failed) => {
            if let Some(report) = &failed.report {
                output.write(report)?;
            }
            let error = &failed.error;
            Err(Failure::new(error).hint(error.hint()).code(exit::SUPERVISOR))
        }
    }
}

/// An extension that failed may have been unable to read its own files.
fn closed_files(bundle: &Path) {
    let closed = closed(bundle);
    if let Some(first) = closed.first() {
        eprintln!(
            "hint: the extension cannot read {} of its files, {} first: chmod -R a+rX {}",
            closed.len(),
            first.display(),
            bundle.display()
        );
    }
}

/// Where the JSON report goes.
#[derive(Debug)]
enum Output {
    Nowhere,
    Stdout,
    File(File, PathBuf),
}

impl Output {
    /// Opened before the run: a report that cannot be written is known before anything happens.
    fn open(args: &RunArgs) -> Result<Self, Failure> {
        if let Some(fd) = args.report_fd {
            let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
            return Self::file(path);
        }
        match &args.report {
            None => Ok(Self::Nowhere),
            Some(path) if path.as_os_str() == "-" => Ok(Self::Stdout),
            Some(path) => Self::file(path.clone()),
        }
    }

    fn file(path: PathBuf) -> Result<Self, Failure> {
        match File::create(&path) {
            Ok(file) => Ok(Self::File(file, path)),
            Err(error) => {
                let message = format!("failed to open the report {}: {error}", path.display());
                Err(Failure::new(message).code(exit::SUPERVISOR))
            }
        }
    }

    fn write(self, report: &Report) -> Result<(), Failure> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Stdout => json(report).map(drop),
            Self::File(mut file, path) => {
                // In one write: a reader finds nothing or everything.
                let written = serde_json::to_vec_pretty(report)
                    .map_err(std::io::Error::from)
                    .and_then(|mut text| {
                        text.push(b'\n');
                        file.write_all(&text)
                    });
                written.map_err(|error| {
                    let message = format!("failed to write the report {}: {error}", path.display());
                    Failure::new(message).code(exit::SUPERVISOR)
                })
            }
        }
    }
}
