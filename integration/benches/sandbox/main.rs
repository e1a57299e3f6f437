//! What `sandboxctl run` costs, beside what others take for less: prints the Markdown tables of README's "How fast".
//!
//! Run it as root by `scripts/bench`, which builds what it measures. It reads `SANDBOXCTL` (the binary), `BENCH_DIR` (a
//! folder for its programs and its state), `BENCH_RUNS` (launches a command, 60) and `BENCH_PARTS` (all).

mod competitors;
mod deadline;
mod egress;
mod launch;
mod memory;
mod programs;
mod statistics;
mod syscalls;
mod trust;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What every measurement needs to know.
pub(crate) struct Bench {
    /// The binary.
    sandboxctl: PathBuf,
    /// Programs, bundles and state.
    folder: PathBuf,
    /// How often each command is launched.
    runs: usize,
}

impl Bench {
    fn from_environment() -> Result<Self> {
        let path = |name: &str| {
            env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("{name} is not set"))
        };
        let runs = env::var("BENCH_RUNS").map_or(Ok(60), |text| text.parse())?;
        let folder = path("BENCH_DIR")?;
        fs::create_dir_all(&folder)?;
        Ok(Self { sandboxctl: path("SANDBOXCTL")?, folder: folder.canonicalize()?, runs })
    }

    /// `sandboxctl ARGUMENTS`, with a state of its own and nothing on the terminal.
    fn sandboxctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.sandboxctl);
        command
            .args(arguments)
            .env("SANDBOXCTL_STATE_DIR", self.folder.join("state"))
            .env("SANDBOXCTL_CONFIG_DIR", self.folder.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// Processor, kernel and distribution, in one line.
fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.trim_start_matches(key).trim_matches(['\t', ' ', ':', '"', '=']).to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let controllers = if Path::new("/sys/fs/cgroup/memory").exists() { "v1" } else { "v2" };
    format!(
        "{cpus} x {}, Linux {}, {}, cgroup {controllers} controllers",
        first("/proc/cpuinfo", "model name"),
        kernel.trim(),
        first("/etc/os-release", "PRETTY_NAME"),
    )
}

/// A part of the bench, by the name that selects it.
type Part = (&'static str, fn(&Bench) -> Result<()>);

const PARTS: [Part; 6] = [
    ("launch", launch::measure),
    ("syscalls", syscalls::measure),
    ("memory", memory::measure),
    ("deadline", deadline::measure),
    ("egress", egress::measure),
    ("trust", trust::measure),
];

fn main() -> Result<()> {
    let wanted = env::var("BENCH_PARTS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != *name)) {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no part {unknown}: {}", names.join(", ")).into());
    }
    let bench = Bench::from_environment()?;
    programs::build(&bench.folder)?;
    println!("Machine: {}.", machine());
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.contains(&name) {
            measure(&bench)?;
        }
    }
    Ok(())
}
