//! What the audit log takes and how fast it is gone through: prints the Markdown table of README's "How fast".
//!
//! `scripts/bench audit` runs it; `BENCH_DIR` is where the log lies, on the disk whose syncs are to be measured.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

use policies::violation::Severity;
use sandboxctl::record::audit::query::{Filter, search};
use sandboxctl::record::audit::verify::{Options, verify};
use sandboxctl::record::audit::{AuditLog, Event, EventType, Subject};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Events that are verified and searched.
const MANY: u32 = 1_000_000;

fn event(kind: EventType, n: u32) -> Result<Event> {
    let data = serde_json::json!({
        "code": "path-denied", "object": { "type": "path", "path": format!("/some/where/{n}") }, "count": n,
    });
    Ok(Event::new(kind, Severity::Warning, SystemTime::now(), &data)?)
}

fn open(dir: &Path, ext: &str) -> Result<AuditLog> {
    let subject = Subject {
        ext: ext.to_owned(),
        ver: "1.0.0".to_owned(),
        run: "20261123T200000Z-00000000ff".to_owned(),
        actor: "uid:0".to_owned(),
    };
    Ok(AuditLog::open(dir, &subject)?)
}

/// `count` events, `batch` at once.
fn append(log: &mut AuditLog, kind: EventType, count: u32, batch: u32) -> Result<Duration> {
    let events: Vec<Event> = (0..batch).map(|n| event(kind, n)).collect::<Result<_>>()?;
    let start = Instant::now();
    for _ in 0..count / batch {
        log.append(&events)?;
    }
    Ok(start.elapsed())
}

fn row(what: &str, count: u32, time: Duration) {
    let each = time.as_secs_f64() / f64::from(count);
    println!("| {what} | {:.0} | {:.2} |", 1.0 / each, each * 1e6);
}

fn main() -> Result<()> {
    let base = env::var_os("BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let dir = base.join(format!("audit-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let measured = measure(&dir);
    fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path) -> Result<()> {
    println!("\n### The audit log\n");
    println!("| | events/s | us an event |");
    println!("|---|--:|--:|");
    let mut log = open(dir, "acme.single")?;
    row("append, one by one", 100_000, append(&mut log, EventType::Violation, 100_000, 1)?);
    row("append, one by one, on the disk", 2_000, append(&mut log, EventType::Decision, 2_000, 1)?);
    row(
        "append, 100 at once, on the disk",
        200_000,
        append(&mut log, EventType::Decision, 200_000, 100)?,
    );
    let many = dir.join("many");
    for (ext, count) in [("acme.rare", 1_000), ("acme.often", MANY - 1_000)] {
        append(&mut open(&many, ext)?, EventType::Violation, count, 1_000)?;
    }
    let start = Instant::now();
    let verified = verify(&many, &Options::default())?;
    row("verify", MANY, start.elapsed());
    assert!(verified.ok && verified.events == u64::from(MANY), "{verified:?}");
    for ext in ["acme.rare", "acme.often"] {
        let filter = Filter { ext: Some(ext.to_owned()), ..Filter::default() };
        let mut found = 0_u32;
        let start = Instant::now();
        search(&many, &filter, |_, _| {
            found += 1;
            ControlFlow::Continue(())
        })?;
        row(&format!("query by extension, {found} of {MANY} found"), MANY, start.elapsed());
    }
    Ok(())
}
