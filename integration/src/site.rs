//! A place to run `sandboxctl` in: folders of its own, a time limit, everything that came out of it.
//!
//! State and configuration are private to a test. The run folder is the host's own: the numbers that it hands out become
//! user ids and names of control groups, and the kernel's audit switch is shared through it, all of which exist once a
//! host.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::bundle::{Built, Bundle};

/// After this long a command is stuck. Far above what anything takes on a loaded machine; no test measures with it.
const STUCK: Duration = Duration::from_mins(2);

/// A test's folders. Removed with it.
#[derive(Debug)]
pub struct Site {
    dir: PathBuf,
    /// Held shared, or exclusively by a test that wants the machine for itself.
    _turn: File,
}

impl Site {
    /// Folders of its own, beside other tests.
    #[must_use]
    pub fn new() -> Self {
        let turn = turn();
        turn.lock_shared().unwrap();
        Self { dir: temporary(), _turn: turn }
    }

    /// The same, and no other test runs meanwhile.
    #[must_use]
    pub fn alone() -> Self {
        let turn = turn();
        turn.lock().unwrap();
        Self { dir: temporary(), _turn: turn }
    }

    /// The top folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `SANDBOXCTL_STATE_DIR`.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// `SANDBOXCTL_CONFIG_DIR`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// A new folder that everybody may enter.
    #[must_use]
    pub fn fresh_dir(&self, name: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = self.dir.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Writes the operator's `config.toml`.
    pub fn configure(&self, text: &str) {
        fs::create_dir_all(self.config()).unwrap();
        fs::write(self.config().join("config.toml"), text).unwrap();
    }

    /// Gives a tier other values, `[("idle_ms", "200")]`, by a file in the operator's folder. Earlier changes stay.
    ///
    /// # Panics
    /// Where the built-in one has no such key.
    pub fn change_tier(&self, tier: &str, values: &[(&str, &str)]) {
        let built_in = match tier {
            "community" => include_str!("../../policies/tiers/community.toml"),
            "professional" => include_str!("../../policies/tiers/professional.toml"),
            _ => include_str!("../../policies/tiers/enterprise.toml"),
        };
        let own = self.config().join("policies/tiers").join(format!("{tier}.toml"));
        let text = fs::read_to_string(&own).unwrap_or_else(|_| built_in.to_owned());
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (key, value) in values {
            let line = lines.iter_mut().find(|line| line.starts_with(&format!("{key} = ")));
            *line.unwrap_or_else(|| panic!("no {key} in {tier}.toml")) = format!("{key} = {value}");
        }
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(own, lines.join("\n")).unwrap();
    }

    /// A command that uses this site's folders.
    #[must_use]
    pub fn prepare(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("SANDBOXCTL_STATE_DIR", self.state())
            .env("SANDBOXCTL_CONFIG_DIR", self.config())
            .env_remove("SANDBOXCTL_RUN_DIR")
            .env_remove("SANDBOXCTL_LOG")
            .stdin(Stdio::null());
        command
    }

    /// `sandboxctl` with arguments, to its end.
    #[must_use]
    pub fn sandboxctl(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.prepare(binary());
        command.args(arguments);
        finish(spawn(command), None)
    }

    /// Builds and runs a bundle.
    #[must_use]
    pub fn run(&self, bundle: &Bundle) -> Outcome {
        self.run_built(&bundle.build(self), &[])
    }

    /// Runs a bundle with more arguments before the bundle's path.
    #[must_use]
    pub fn run_built(&self, bundle: &Built, arguments: &[&str]) -> Outcome {
        self.start(bundle, arguments).wait()
    }

    /// Starts a run and does not wait for it.
    #[must_use]
    pub fn start(&self, bundle: &Built, arguments: &[&str]) -> Started {
        let mut command = self.prepare(binary());
        command.arg("run");
        self.start_command(command, bundle, arguments)
    }

    /// Starts a run through another program: `command` ends with `sandboxctl run`.
    #[must_use]
    pub fn start_command(
        &self,
        mut command: Command,
        bundle: &Built,
        arguments: &[&str],
    ) -> Started {
        let report = self.fresh_dir("report").join("report.json");
        command.arg("--report").arg(&report).args(arguments).arg(&bundle.path);
        Started { running: spawn(command), report }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A test that failed leaves its folder to be looked at.
        if !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

fn turn() -> File {
    let path = std::env::temp_dir().join("sandboxctl-integration.turn");
    File::options().create(true).append(true).open(path).unwrap()
}

fn temporary() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sandboxctl-integration-{}-{number}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    // Of an earlier process with the same number.
    drop(fs::remove_dir_all(&dir));
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// `SANDBOXCTL`, or the newest build of this workspace.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SANDBOXCTL") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().find(|dir| dir.ends_with("debug") || dir.ends_with("release"));
    let target = profile.and_then(Path::parent).expect("tests lie in target/<triple>/<profile>");
    ["debug", "release"]
        .map(|profile| target.join(profile).join("sandboxctl"))
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap())
        .expect("build sandboxctl first: cargo build -p sandboxctl")
}

/// Held exclusively while a program is written, shared while a process is started: a child that another thread has just
/// forked holds the program's file open for writing until it executes, and until then nobody can execute that file.
pub(crate) static WRITING: RwLock<()> = RwLock::new(());

/// A run that was started.
#[derive(Debug)]
pub struct Started {
    running: Running,
    report: PathBuf,
}

impl Started {
    /// The process id of the supervisor, or of the program that it was started through.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }

    /// Sends a signal to that process.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Waits until the extension has printed `text`.
    ///
    /// # Panics
    /// Where it ends without.
    pub fn wait_for(&mut self, text: &str) {
        let running = &mut self.running;
        let began = Instant::now();
        loop {
            if running.stdout.text().contains(text) {
                return;
            }
            let ended = running.child.try_wait().unwrap().is_some() && running.stdout.at_end();
            assert!(
                !ended && began.elapsed() < STUCK,
                "no {text:?} in {:?}; stderr: {}",
                running.stdout.text(),
                running.stderr.text()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(self) -> Outcome {
        finish(self.running, Some(&self.report))
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a test that failed. Asked twice, a supervisor ends the run at once and cleans up; killed, it could not.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            // Already dead is what was wanted.
            kill(pid, Signal::SIGTERM).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a pipe has given so far.
#[derive(Debug)]
struct Collected {
    bytes: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collected {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = std::sync::Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let sink = std::sync::Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn at_end(&self) -> bool {
        self.thread.is_finished()
    }
}

fn spawn(mut command: Command) -> Running {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let starting = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(starting);
    let stdout = Collected::new(child.stdout.take().unwrap());
    let stderr = Collected::new(child.stderr.take().unwrap());
    Running { child, stdout, stderr }
}

fn finish(mut running: Running, report: Option<&Path>) -> Outcome {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            break status;
        }
        assert!(
            began.elapsed() < STUCK,
            "stuck; stdout: {}\nstderr: {}",
            running.stdout.text(),
            running.stderr.text()
        );
        std::thread::sleep(Duration::from_millis(1));
    };
    // Somebody who outlives the supervisor would hold the pipes open.
    while !(running.stdout.at_end() && running.stderr.at_end()) {
        assert!(began.elapsed() < STUCK, "something that outlived the supervisor holds its output");
        std::thread::sleep(Duration::from_millis(1));
    }
    // A supervisor that was killed leaves the file that it had opened, empty or cut off.
    let bytes = report.filter(|_| status.code().is_some()).and_then(|path| fs::read(path).ok());
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    let report = bytes.map(|bytes| {
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            panic!("the report is no JSON: {error}: {}", String::from_utf8_lossy(&bytes))
        })
    });
    Outcome { status, stdout: running.stdout.text(), stderr: running.stderr.text(), report }
}

/// What came out of a command.
#[derive(Debug)]
pub struct Outcome {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it, or the extension, printed.
    pub stdout: String,
    /// What it said to people.
    pub stderr: String,
    report: Option<Value>,
}

impl Outcome {
    /// Its exit code.
    ///
    /// # Panics
    /// Where a signal ended `sandboxctl` itself.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| {
            panic!("sandboxctl was killed by {:?}: {}", self.status.signal(), self.stderr)
        })
    }

    /// Goes on only if the exit code is this.
    ///
    /// # Panics
    /// With everything that was printed, otherwise.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "exit code\nstdout: {}\nstderr: {}\nresult: {}",
            self.stdout,
            self.stderr,
            self.report.as_ref().map_or(&Value::Null, |report| &report["result"])
        );
        self
    }

    /// What the extension printed, as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("no JSON: {error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr)
        })
    }

    /// The report of the run.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    #[must_use]
    pub fn report(&self) -> &Value {
        self.report.as_ref().unwrap_or_else(|| {
            panic!("no report\nstdout: {}\nstderr: {}", self.stdout, self.stderr)
        })
    }

    /// The violations of the report.
    #[track_caller]
    #[must_use]
    pub fn violations(&self) -> &[Value] {
        self.report()["violations"].as_array().expect("violations are a list")
    }

    /// The violations with this code.
    #[track_caller]
    #[must_use]
    pub fn with_code(&self, code: &str) -> Vec<&Value> {
        self.violations().iter().filter(|violation| violation["code"] == code).collect()
    }

    /// Goes on only if a violation has this code and, in its object, this key and value.
    ///
    /// # Panics
    /// With all violations, otherwise.
    #[track_caller]
    pub fn recorded(&self, code: &str, key: &str, value: &str) -> &Value {
        self.with_code(code)
            .into_iter()
            .find(|violation| violation["object"][key] == value)
            .unwrap_or_else(|| panic!("no {code} with {key} {value} in {:#?}", self.violations()))
    }

    /// Goes on only if nothing worse than INFO was recorded.
    ///
    /// # Panics
    /// With what was.
    #[track_caller]
    pub fn well_behaved(&self) -> &Self {
        let worse: Vec<&Value> =
            self.violations().iter().filter(|one| one["severity"] != "INFO").collect();
        assert!(worse.is_empty(), "a well-behaved program: {worse:#?}");
        self
    }

    /// Goes on only if the report says that the run ended like this: `status`, and the limit, if any.
    ///
    /// # Panics
    /// With the result, otherwise.
    #[track_caller]
    pub fn ended(&self, status: &str, limit: Option<&str>) -> &Self {
        let result = &self.report()["result"];
        let limit = limit.map_or(Value::Null, Value::from);
        assert!(
            result["status"] == status && result["limit"] == limit,
            "{status} {limit} expected: {result:#}\nstderr: {}",
            self.stderr
        );
        self
    }

    /// The report's entry of a limit: `memory`, `cpu` ...
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    #[must_use]
    pub fn limit(&self, kind: &str) -> &Value {
        let limits = self.report()["limits"].as_array().expect("limits are a list");
        limits.iter().find(|limit| limit["kind"] == kind).expect("every limit is in the report")
    }
}
