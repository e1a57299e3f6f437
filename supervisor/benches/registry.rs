//! What a decision costs inside the process, with 10 000 registered extensions: prints a Markdown table of README's "How
//! fast". `cargo bench -p sandboxctl --bench registry`; needs no root, and a folder `BENCH_DIR` or the temporary one.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process};

use policies::digest::Digest;
use rusqlite::{Connection, params};
use sandboxctl::manager::SecurityManager;
use sandboxctl::registry::Registry;
use sandboxctl::state::Dirs;
use semver::Version;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EXTENSIONS: u32 = 10_000;
const RUNS: usize = 1001;

const MANIFEST: &str = "[extension]\nid = \"acme.x\"\nname = \"Probe\"\nversion = \"1.0.0\"\npublisher = \"acme\"\n\
    tier = \"community\"\n[run]\ncommand = [\"true\"]\n[permissions]\nrequest = [\"READ_MATERIALS\"]\n";

/// Another extension like the first: ?1 is its id, ?2 its digest.
const EXTENSION: [&str; 2] = [
    "INSERT INTO extensions SELECT ?1, name, publisher, tier, state, state_reason, state_by, state_at, ?2, \
     '1.0.0', NULL, registered_at, registered_by FROM extensions WHERE id = 'acme.x'",
    "INSERT INTO bundles SELECT ?2, ?1, version, tier, replace(replace(manifest, 'acme.x', ?1), 'acme', 'gen'), size, files, signer, \
     sbom, registered_at, registered_by FROM bundles WHERE ext_id = 'acme.x'",
];

/// What is known of each: a review, a check, two findings and a denial.
const KNOWN: [&str; 5] = [
    "INSERT INTO reviews(digest, status, level, reviewer, notes, at) \
     SELECT ?2, 'approved', 'INTERNAL', ?1, 'notes', 0",
    "INSERT INTO checks(digest, at, components, unidentified, findings) SELECT ?2, length(?1), 0, 0, 0",
    "INSERT INTO permissions SELECT ?1, 'READ_MATERIALS', 'denied', hex(?2), 'x', 0",
    "INSERT INTO findings(ext_id, source, affected, title, details, severity, score, certainty, status, \
     status_notes, reported_by, reported_at, disclosure_at) \
     SELECT ?1, 'report', '<2.0.0', hex(?2), '', 'LOW', 20, 'affected', 'open', '', 'x', 0, 0",
    "INSERT INTO findings(ext_id, source, digest, advisory, purl, title, details, severity, score, certainty, \
     status, status_notes, reported_by, reported_at, disclosure_at) \
     SELECT ?1, 'sbom', ?2, 'GHSA-1', 'pkg:npm/x@1', 't', '', 'LOW', 20, 'affected', 'open', '', 'x', 0, 0",
];

fn main() -> Result<()> {
    let parent = env::var_os("BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let here = parent.join(format!("sandboxctl-bench-registry-{}", process::id()));
    let result = measure(&here);
    fs::remove_dir_all(&here)?;
    result
}

fn measure(here: &Path) -> Result<()> {
    let bundle = here.join("bundle");
    fs::create_dir_all(&bundle)?;
    fs::write(bundle.join("extension.toml"), MANIFEST)?;
    let dirs = Dirs::from_environment(|name| match name {
        "SANDBOXCTL_STATE_DIR" => Some(here.join("state").into()),
        "SANDBOXCTL_CONFIG_DIR" => Some(here.join("config").into()),
        _ => None,
    });
    let state = dirs.state.clone();
    let manager = SecurityManager::new(dirs, "bench");
    let none = series(|| Ok(Registry::open(&state)?))?;
    let digest = manager.register_extension(&bundle)?.bundle.digest;
    let mut connection = Connection::open(state.join("registry.db"))?;
    add(&connection, &KNOWN, "acme.x", &digest)?;
    let one = series(|| Ok(manager.enforce_security_context("acme.x")?))?;
    fill(&mut connection)?;
    drop(connection);
    let version = Version::new(1, 0, 0);
    let facts = series(|| {
        let registry = Registry::open(&state)?;
        Ok(registry.facts("acme.x", Some(&digest), &version, SystemTime::now())?)
    })?;
    let many = series(|| Ok(manager.enforce_security_context("acme.x")?))?;
    println!("\n### The registry, inside the process, us\n");
    println!("| what | median | p99 |\n|---|--:|--:|");
    for (what, times) in [
        ("open, no database", none),
        ("open and read what concerns one launch, 10000 extensions", facts),
        ("`check` of a registered extension, 1 extension", one),
        ("`check` of a registered extension, 10000 extensions", many),
    ] {
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
        println!("| {what} | {} | {} |", at(50), at(99));
    }
    Ok(())
}

fn series<T>(act: impl Fn() -> Result<T>) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        drop(act()?);
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

/// Makes all extensions but the first.
fn fill(connection: &mut Connection) -> Result<()> {
    let tx = connection.transaction()?;
    for n in 1..EXTENSIONS {
        let (id, digest) = (format!("gen.e{n}"), digest(n));
        add(&tx, &EXTENSION, &id, &digest)?;
        add(&tx, &KNOWN, &id, &digest)?;
    }
    Ok(tx.commit()?)
}

fn add(connection: &Connection, rows: &[&str], id: &str, digest: &Digest) -> Result<()> {
    for sql in rows {
        connection.execute(sql, params![id, digest.as_bytes().as_slice()])?;
    }
    Ok(())
}

/// Spread over the key space, as digests are.
fn digest(n: u32) -> Digest {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    bytes[4..8].copy_from_slice(&n.to_be_bytes());
    Digest::from_bytes(bytes)
}
