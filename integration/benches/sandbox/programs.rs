//! The C programs that are run and measured, and the bundles around them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Compile every program of `programs/` into `folder`, and make a bundle of each that runs inside.
pub(crate) fn build(folder: &Path) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs");
    for (name, flags) in [
        ("true", &["-nostdlib"][..]),
        ("sleeper", &[]),
        ("bomb", &[]),
        ("probe", &[]),
        ("floor", &[]),
    ] {
        let source = sources.join(name).with_extension("c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-static", "-o"]).arg(folder.join(name));
        let status = compiler.arg(source).args(flags).status()?;
        if !status.success() {
            return Err(format!("failed to compile {name}.c: {status}").into());
        }
    }
    for (name, arguments) in [("true", ""), ("sleeper", ""), ("bomb", ""), ("probe", PROBE)] {
        let bundle = bundle(folder, name);
        fs::create_dir_all(&bundle)?;
        fs::copy(folder.join(name), bundle.join(name))?;
        fs::write(bundle.join("extension.toml"), manifest(name, arguments))?;
    }
    Ok(())
}

const PROBE: &str = r#", "/ext/probe", "denied""#;

/// The bundle of a program.
pub(crate) fn bundle(folder: &Path, name: &str) -> PathBuf {
    folder.join("bundles").join(name)
}

fn manifest(name: &str, arguments: &str) -> String {
    // The bomb's deadline is what is measured; the others never reach theirs.
    let timeout_ms = if name == "bomb" { crate::deadline::TIMEOUT_MS } else { 30_000 };
    format!(
        r#"[extension]
id = "bench.{name}"
name = "{name}"
version = "1.0.0"
publisher = "bench"
tier = "community"
isolation = "full"

[run]
command = ["/ext/{name}"{arguments}]
runtime = "host"

[permissions]
request = []

[storage]
data = "none"

[limits]
timeout_ms = {timeout_ms}
"#
    )
}
