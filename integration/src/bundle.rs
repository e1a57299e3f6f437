//! Bundles made in a temporary folder.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Site, site};

/// The variable that tells probes which mount namespace they must not run in.
pub const HOST_NAMESPACE: &str = "PROBE_HOST_NAMESPACE";

/// A Python program's first lines: refuses to run on the host, and has JSON at hand.
const PYTHON: &str = r#"
import errno, json, os, sys
if str(os.stat("/proc/self/ns/mnt").st_ino) == os.environ.get("PROBE_HOST_NAMESPACE", "") \
        or "PROBE_HOST_NAMESPACE" not in os.environ:
    sys.exit("probe: refusing to run in the host's mount namespace")
def attempt(act):
    """What an act came to: "ok", or the name of its errno."""
    try:
        act()
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
"#;

/// A bundle under construction. Its folder belongs to the [`Site`] that builds it.
#[derive(Clone, Debug)]
pub struct Bundle {
    id: String,
    tier: String,
    isolation: String,
    command: Vec<String>,
    runtime: String,
    workdir: Option<String>,
    env: Vec<(String, String)>,
    permissions: Vec<String>,
    storage: String,
    limits: Vec<(String, u64)>,
    more: String,
    files: Vec<(PathBuf, Vec<u8>, u32)>,
}

/// The inode of this process's mount namespace, which is the host's.
#[must_use]
pub fn host_namespace() -> u64 {
    fs::metadata("/proc/self/ns/mnt").unwrap().ino()
}

/// The probe binary, built with this crate.
#[must_use]
pub fn probe() -> PathBuf {
    // Tests lie in `deps/` beneath the folder of the binaries.
    let own = std::env::current_exe().unwrap();
    let beside = own.ancestors().skip(1).take(2).map(|dir| dir.join("probe"));
    beside.into_iter().find(|path| path.is_file()).expect("cargo builds the probe with the tests")
}

impl Bundle {
    /// A bundle that runs this command.
    #[must_use]
    pub fn command<S: AsRef<str>>(command: &[S]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            id: format!("test.p{}n{number}", std::process::id()),
            tier: "community".to_owned(),
            isolation: "full".to_owned(),
            command: command.iter().map(|word| word.as_ref().to_owned()).collect(),
            runtime: "host".to_owned(),
            workdir: None,
            env: vec![(HOST_NAMESPACE.to_owned(), host_namespace().to_string())],
            permissions: Vec::new(),
            storage: "ephemeral".to_owned(),
            limits: Vec::new(),
            more: String::new(),
            files: Vec::new(),
        }
    }

    /// A Python program. `attempt(lambda: ..)` tells what an act came to; `json` and `os` are imported.
    #[must_use]
    pub fn python(program: &str) -> Self {
        Self::command(&["python3", "main.py"]).file("main.py", format!("{PYTHON}\n{program}"))
    }

    /// A bash script.
    #[must_use]
    pub fn shell(script: &str) -> Self {
        let guard = r#"[ -n "$PROBE_HOST_NAMESPACE" ] || exit 99
[ "$(readlink /proc/self/ns/mnt)" != "mnt:[$PROBE_HOST_NAMESPACE]" ] || exit 99
"#;
        Self::command(&["bash", "main.sh"]).file("main.sh", format!("{guard}{script}"))
    }

    /// A probe of `integration/probes`, by name and arguments.
    #[must_use]
    pub fn probe(arguments: &[&str]) -> Self {
        let mut command = vec!["/ext/probe"];
        command.extend(arguments);
        Self::command(&command).with_probe()
    }

    /// Puts the probe binary into the bundle, as `/ext/probe`.
    #[must_use]
    pub fn with_probe(self) -> Self {
        let bytes = fs::read(probe()).unwrap();
        self.executable("probe", bytes)
    }

    /// Another command.
    #[must_use]
    pub fn with_command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Its id; the publisher is what stands before the first dot.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The tier that it claims.
    #[must_use]
    pub fn tier(mut self, tier: &str) -> Self {
        tier.clone_into(&mut self.tier);
        self
    }

    /// The isolation that it asks for.
    #[must_use]
    pub fn isolation(mut self, isolation: &str) -> Self {
        isolation.clone_into(&mut self.isolation);
        self
    }

    /// `host` or `bundle`.
    #[must_use]
    pub fn runtime(mut self, runtime: &str) -> Self {
        runtime.clone_into(&mut self.runtime);
        self
    }

    /// The working directory.
    #[must_use]
    pub fn workdir(mut self, path: &str) -> Self {
        self.workdir = Some(path.to_owned());
        self
    }

    /// `none`, `ephemeral` or `persistent`.
    #[must_use]
    pub fn storage(mut self, storage: &str) -> Self {
        storage.clone_into(&mut self.storage);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A permission that it asks for.
    #[must_use]
    pub fn permission(mut self, name: &str) -> Self {
        self.permissions.push(name.to_owned());
        self
    }

    /// A limit, lower than the tier's.
    #[must_use]
    pub fn limit(mut self, key: &str, value: u64) -> Self {
        self.limits.push((key.to_owned(), value));
        self
    }

    /// Appended to the manifest as it stands.
    #[must_use]
    pub fn manifest(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    /// A file in the bundle.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), content.into(), 0o644));
        self
    }

    /// An executable file in the bundle.
    #[must_use]
    pub fn executable(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), content.into(), 0o755));
        self
    }

    /// Writes it into a new folder of the site.
    #[must_use]
    pub fn build(&self, site: &Site) -> Built {
        let _writing = site::WRITING.write().unwrap_or_else(PoisonError::into_inner);
        let path = site.fresh_dir("bundle");
        fs::write(path.join("extension.toml"), self.toml()).unwrap();
        for (name, content, mode) in &self.files {
            let file = path.join(name);
            open_up(file.parent().unwrap(), &path);
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(*mode)).unwrap();
        }
        Built { path, id: self.id.clone() }
    }

    /// The manifest's text.
    #[must_use]
    pub fn toml(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let list =
            |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
        let publisher = self.id.split('.').next().unwrap();
        let mut text = format!(
            "[extension]\nid = {id}\nname = \"Probe\"\nversion = \"1.0.0\"\npublisher = \"{publisher}\"\n\
             tier = {tier}\nisolation = {isolation}\n[run]\ncommand = [{command}]\nruntime = {runtime}\n",
            id = quoted(&self.id),
            tier = quoted(&self.tier),
            isolation = quoted(&self.isolation),
            command = list(&self.command),
            runtime = quoted(&self.runtime),
        );
        if let Some(workdir) = &self.workdir {
            writeln!(text, "workdir = {}", quoted(workdir)).unwrap();
        }
        text.push_str("[run.env]\n");
        for (name, value) in &self.env {
            writeln!(text, "{name} = {}", quoted(value)).unwrap();
        }
        writeln!(text, "[permissions]\nrequest = [{}]", list(&self.permissions)).unwrap();
        writeln!(text, "[storage]\ndata = {}", quoted(&self.storage)).unwrap();
        text.push_str("[limits]\n");
        for (key, value) in &self.limits {
            writeln!(text, "{key} = {value}").unwrap();
        }
        text + &self.more
    }
}

/// Makes the folders of a bundle readable by everybody, whatever the umask.
fn open_up(dir: &Path, top: &Path) {
    fs::create_dir_all(dir).unwrap();
    for folder in dir.ancestors().take_while(|folder| folder.starts_with(top)) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A bundle on disk.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its folder.
    pub path: PathBuf,
    /// Its id.
    pub id: String,
}
