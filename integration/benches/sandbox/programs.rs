//! The C programs that are run and measured, and the bundles around them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Compile every program of `programs/` into `folder`, and make a bundle of each that runs inside.
pub(crate) fn build(folder: &Path) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs");
    for (name, flags) in [
        ("true", &["-static", "-nostdlib"][..]),
        ("sleeper", &["-static"]),
        ("bomb", &["-static"]),
        ("probe", &["-static"]),
        ("floor", &["-static"]),
        // Looks names up, which the C library does by modules.
        ("net", &["-pthread"]),
    ] {
        let source = sources.join(name).with_extension("c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(folder.join(name));
        let status = compiler.arg(source).args(flags).status()?;
        if !status.success() {
            return Err(format!("failed to compile {name}.c: {status}").into());
        }
    }
    let many: Vec<String> =
        (0..20).map(|n| format!("\"host-{n}.example.com:443,80,8443\"")).collect();
    for (name, program, arguments, rules) in [
        ("true", "true", "", ""),
        ("sleeper", "sleeper", "", ""),
        ("bomb", "bomb", "", ""),
        ("probe", "probe", PROBE, ""),
        ("domain", "true", "", "\"api.example.com\""),
        ("domains", "true", "", &many.join(", ")),
        ("net", "net", "", NET),
    ] {
        let bundle = bundle(folder, name);
        fs::create_dir_all(&bundle)?;
        fs::copy(folder.join(program), bundle.join(program))?;
        fs::write(bundle.join("extension.toml"), manifest(name, program, arguments, rules))?;
    }
    Ok(())
}

const PROBE: &str = r#", "/ext/probe", "denied""#;
const NET: &str = r#"{ host = "kept.example.com", ports = [7001, 7002, 7003], tls = "opaque" }"#;

/// The bundle of a program.
pub(crate) fn bundle(folder: &Path, name: &str) -> PathBuf {
    folder.join("bundles").join(name)
}

fn manifest(name: &str, program: &str, arguments: &str, rules: &str) -> String {
    // The bomb's deadline is what is measured; the others never reach theirs.
    let timeout_ms = if name == "bomb" { crate::deadline::TIMEOUT_MS } else { 30_000 };
    // For the bounds of its connections and of its CPU.
    let tier = if name == "net" { "enterprise" } else { "community" };
    let permission = if rules.is_empty() { "" } else { "\"EXTERNAL_API_CALLS\"" };
    format!(
        r#"[extension]
id = "bench.{name}"
name = "{name}"
version = "1.0.0"
publisher = "bench"
tier = "{tier}"
isolation = "full"

[run]
command = ["/ext/{program}"{arguments}]
runtime = "host"

[permissions]
request = [{permission}]

[network]
allow = [{rules}]

[storage]
data = "none"

[limits]
timeout_ms = {timeout_ms}
"#
    )
}
