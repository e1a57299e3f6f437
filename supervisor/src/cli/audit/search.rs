//! `sandboxctl audit query`, `tail` and `export`.

use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use policies::violation::Severity;

use super::args::{ExportArgs, ExportFormat, FilterArgs, QueryArgs, TailArgs};
use super::failure;
use crate::cli::Failure;
use crate::exit;
use crate::record::audit::export::{Format, render, words};
use crate::record::audit::follow::{Follower, last};
use crate::record::audit::query::{Filter, Record, search, when};
use crate::record::escape::visible;
use crate::state::Dirs;

/// How often `tail -f` looks.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn query(args: QueryArgs, dirs: &Dirs, now: SystemTime) -> Result<ExitCode, Failure> {
    let filter = filter(args.filter, now)?;
    let mut out = Out::new();
    search(&dirs.audit(), &filter, |line, record| {
        let printed = if args.json { out.line(line) } else { out.row(record) };
        if printed { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(failure)?;
    out.finish()
}

pub(super) fn export(args: ExportArgs, dirs: &Dirs, now: SystemTime) -> Result<ExitCode, Failure> {
    let filter = filter(args.filter, now)?;
    let format = match args.format {
        ExportFormat::Jsonl => Format::Jsonl,
        ExportFormat::Cef => Format::Cef,
        ExportFormat::Ocsf => Format::Ocsf,
    };
    let mut out = Out::new();
    search(&dirs.audit(), &filter, |line, record| {
        let line = String::from_utf8_lossy(line);
        if out.line(render(format, &line, record).as_bytes()) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
    .map_err(failure)?;
    out.finish()
}

pub(super) fn tail(args: TailArgs, dirs: &Dirs, now: SystemTime) -> Result<ExitCode, Failure> {
    let dir = dirs.audit();
    let filter = filter(args.filter, now)?;
    let mut out = Out::new();
    let mut print = |line: &[u8]| match Record::parse(line).filter(|_| !args.json) {
        Some(record) => out.row(&record),
        None => out.line(line),
    };
    // Its place first, and by number what is printed already: nothing between the two is lost or printed twice.
    let mut follower = Follower::at_end(&dir).map_err(failure)?;
    let mut printed = 0;
    for line in last(&dir, &filter, args.lines).map_err(failure)? {
        printed = Record::parse(&line).map_or(printed, |record| record.seq);
        print(&line);
    }
    if !args.follow {
        return out.finish();
    }
    while out.flush() {
        follower
            .more(&filter, &mut |line| {
                match Record::parse(line) {
                    Some(record) if record.seq <= printed => true,
                    Some(record) if !args.json => out.row(&record),
                    _ => out.line(line),
                };
            })
            .map_err(failure)?;
        if !out.flush() {
            break;
        }
        sleep(LOOK);
    }
    out.finish()
}

fn filter(args: FilterArgs, now: SystemTime) -> Result<Filter, Failure> {
    let time = |text: Option<String>| {
        let Some(text) = text else { return Ok(None) };
        let time = when(&text, now);
        time.map(Some).ok_or_else(|| {
            Failure::new(format!("failed to read the time `{text}`"))
                .hint(
                    "RFC 3339 such as 2026-11-23T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d, 3w"
                        .to_owned(),
                )
                .code(exit::USAGE)
        })
    };
    Ok(Filter {
        since: time(args.since)?,
        until: time(args.until)?,
        ext: args.ext,
        kinds: args.kinds,
        severity: args.severity.map(Severity::from),
        run: args.run,
        code: args.code,
    })
}

/// Buffered stdout, whose reader may go away.
struct Out {
    out: io::BufWriter<io::StdoutLock<'static>>,
    error: Option<io::Error>,
}

impl Out {
    fn new() -> Self {
        Self { out: io::BufWriter::with_capacity(64 * 1024, io::stdout().lock()), error: None }
    }

    /// Whether anybody still reads.
    fn keep(&mut self, result: io::Result<()>) -> bool {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
        self.error.is_none()
    }

    fn line(&mut self, line: &[u8]) -> bool {
        let result = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        self.keep(result)
    }

    fn flush(&mut self) -> bool {
        let result = self.out.flush();
        self.keep(result)
    }

    /// Time to the second, severity, type, extension, run, and what it is about.
    fn row(&mut self, record: &Record<'_>) -> bool {
        let severity = record.sev.text();
        let or_dash =
            |text: &str| if text.is_empty() { "-".to_owned() } else { visible(text).into_owned() };
        let time: String = record.ts.chars().take(19).collect();
        let line = format!(
            "{time}Z  {severity:<8}  {:<14}  {:<24}  {:<27}  {}",
            visible(&record.kind),
            or_dash(&record.ext),
            or_dash(&record.run),
            visible(&words(record))
        );
        self.line(line.as_bytes())
    }

    fn finish(mut self) -> Result<ExitCode, Failure> {
        self.flush();
        match self.error.take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("failed to write to stdout: {error}")))
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}
