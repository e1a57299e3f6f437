//! What verifying a bundle costs: at every launch, and when it comes into the store. Prints a Markdown table.
//!
//! Run it as root by `scripts/bench store`. It works in the folder `BENCH_DIR`, on a bundle of 500 files and 200 MB.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::BufWriter;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use policies::files::FileList;
use policies::manifest::Manifest;
use sandboxctl::bundle::listed::{Listed, scan};
use sandboxctl::bundle::store::{Source, Store};
use sandboxctl::bundle::{Bundle, Purpose, archive};
use sandboxctl::trust::anchors::TrustStore;
use sandboxctl::trust::api::{CertificateAuthority, CodeSigner};
use sandboxctl::trust::ca::Settings;
use sandboxctl::trust::signer::{FileSigner, KeyBits, Passphrase, Signer};
use sandboxctl::trust::vet;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FILES: usize = 500;
const FILE_BYTES: usize = 400_000;
const LAUNCHES: usize = 2000;
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let folder = std::env::var_os("BENCH_DIR").map(PathBuf::from).ok_or("BENCH_DIR is not set")?;
    let folder = folder.join("store-bench");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let bundle = folder.join("bundle");
    make(&bundle)?;
    let measured = measure(&folder, &bundle).and_then(|()| signed(&folder, &bundle));
    fs::remove_dir_all(&folder)?;
    measured
}

/// Signed bundles in the store, with everything that a launch does about their trust.
fn signed(folder: &Path, large: &Path) -> Result<()> {
    let (small, config) = (folder.join("signed"), folder.join("config"));
    fs::create_dir_all(&small)?;
    fs::write(small.join("extension.toml"), MANIFEST)?;
    fs::write(small.join("main.sh"), "echo hello\n")?;
    let settings = Settings { bits: KeyBits::Rsa3072, ..Settings::default() };
    let passphrase = Passphrase::new("secret");
    let mut authority =
        CertificateAuthority::create_with(&folder.join("ca"), &settings, passphrase)?;
    let key = FileSigner::generate(KeyBits::Rsa3072)?;
    let chain = authority.issue("bench", "bench", key.spki_der(), 365)?;
    let signer = CodeSigner::new(key, &chain)?;
    let (anchors, now) = (authority.trust_store()?, SystemTime::now());
    for issuer in anchors.issuers() {
        TrustStore::add_issuer(&config, issuer, now)?;
    }
    for crl in anchors.crls() {
        TrustStore::add_crl(&config, crl)?;
    }
    let manifest =
        Manifest::parse("extension.toml", MANIFEST.as_bytes()).map_err(|all| all.to_string())?;
    for (what, bundle) in [("2", small.as_path()), ("501", large)] {
        let made = signer.sign_bundle(bundle)?;
        drop(Bundle::open(bundle, folder, Purpose::Run)?);
        let stored = PathBuf::from(format!("sha256:{}", made.digest));
        let mut launch = || {
            let bundle = Bundle::open(&stored, folder, Purpose::Run)?;
            let vetted = vet(&bundle, &manifest, &config, now)?;
            if vetted.facts.refusals.is_empty() { Ok(()) } else { Err("it is refused".into()) }
        };
        let what = format!(
            "a signed bundle of {what} files at launch: store, trust, signature, chain, revocation, us"
        );
        times(&what, 1e6, LAUNCHES, &mut launch)?;
    }
    let mut trust = || TrustStore::load_for(&config, "bench").map(drop).map_err(Into::into);
    times("of which reading what the host trusts, us", 1e6, LAUNCHES, &mut trust)
}

const MANIFEST: &str = r#"[extension]
id = "bench.signed"
name = "signed"
version = "1.0.0"
publisher = "bench"
tier = "professional"
[run]
command = ["bash", "main.sh"]
"#;

/// Files that do not compress to nothing: half of each is noise.
fn make(bundle: &Path) -> Result<()> {
    let mut state = 88_172_645_463_325_252_u64;
    for number in 0..FILES {
        let dir = bundle.join(format!("d{}", number % 20));
        fs::create_dir_all(&dir)?;
        let mut content = vec![b'a'; FILE_BYTES];
        for chunk in content.chunks_mut(16) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            for (to, from) in chunk.iter_mut().zip(state.to_le_bytes()) {
                *to = from;
            }
        }
        fs::write(dir.join(format!("f{number}")), content)?;
    }
    fs::write(bundle.join("extension.toml"), MANIFEST)?;
    Ok(())
}

fn measure(folder: &Path, bundle: &Path) -> Result<()> {
    let store = Store::open(folder)?;
    let source = Source::open(bundle)?;
    let Source::Folder(dir) = &source else { return Err("not a folder".into()) };
    let list = scan(dir.as_fd(), "bench.signed", &semver::Version::new(1, 0, 0))?;
    fs::write(bundle.join("MANIFEST"), list.render())?;
    let listed = Listed::read(dir.as_fd())?.ok_or("no list")?;
    let megabytes = megabytes(list.total_bytes());
    println!("\n### Bundles: {} files, {megabytes:.0} MB\n", list.entries().len());
    println!("| what | median | best |");
    println!("|---|--:|--:|");

    store.ingest(&source)?;
    let mut found = || store.get(listed.digest()).map(drop).map_err(Into::into);
    times("found in the store at launch, us", 1e6, LAUNCHES, &mut found)?;
    let mut opened = || Store::open(folder)?.get(listed.digest()).map(drop).map_err(Into::into);
    times("the same with opening the store, us", 1e6, LAUNCHES, &mut opened)?;
    let text = list.render();
    let mut parsed = || FileList::parse(&text).map(drop).map_err(Into::into);
    times("reading the whole list, which a launch does not, us", 1e6, LAUNCHES, &mut parsed)?;

    let all = sched_getaffinity(Pid::from_raw(0))?;
    let mut one = CpuSet::new();
    let first = (0..CpuSet::count()).find(|cpu| all.is_set(*cpu).unwrap_or(false));
    one.set(first.ok_or("no processor")?)?;
    let mut hash = || listed.compare(dir.as_fd()).map_err(Into::into);
    sched_setaffinity(Pid::from_raw(0), &one)?;
    rate("read and hash, one processor, GB/s", megabytes, &mut hash)?;
    sched_setaffinity(Pid::from_raw(0), &all)?;
    rate("read and hash, all processors, GB/s", megabytes, &mut hash)?;
    let mut ingest = || {
        store.gc(&BTreeSet::new())?;
        let start = Instant::now();
        store.ingest(&source)?;
        Ok(start.elapsed().as_secs_f64())
    };
    timed("read, hash, copy and write to disk, GB/s", megabytes, &mut ingest)?;

    let sbx = folder.join("bundle.sbx");
    drop(archive::write(dir.as_fd(), &listed, BufWriter::new(fs::File::create(&sbx)?))?);
    let packed = Source::open(&sbx)?;
    let mut unpack = || {
        store.gc(&BTreeSet::new())?;
        let start = Instant::now();
        store.ingest(&packed)?;
        Ok(start.elapsed().as_secs_f64())
    };
    timed("unpack, hash and write to disk, GB/s", megabytes, &mut unpack)
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred million is exact in a float")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A row of times.
fn times(
    what: &str,
    unit: f64,
    rounds: usize,
    work: &mut impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut seconds = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!("| {what} | {:.1} | {:.1} |", seconds[rounds / 2] * unit, seconds[0] * unit);
    Ok(())
}

/// A row of rates.
fn rate(what: &str, megabytes: f64, work: &mut impl FnMut() -> Result<()>) -> Result<()> {
    timed(what, megabytes, &mut || {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64())
    })
}

/// A row of rates, of work that takes its own time.
fn timed(what: &str, megabytes: f64, work: &mut impl FnMut() -> Result<f64>) -> Result<()> {
    let mut seconds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        seconds.push(work()?);
    }
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| megabytes / 1e3 / seconds;
    println!("| {what} | {:.2} | {:.2} |", rate(seconds[ROUNDS / 2]), rate(seconds[0]));
    Ok(())
}
