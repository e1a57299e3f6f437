//! Compiles the shim and leaves it where `spawn/image.rs` embeds it.
//!
//! The shim is freestanding: no standard library, no C library, its own entry point and linker flags, none of which may
//! touch the rest of the workspace. It has no dependencies, so two calls of the compiler are all it takes, and one
//! `cargo build` gives one file that holds everything.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

const COMMON: &[&str] = &[
    "--edition=2024",
    "-Copt-level=s",
    "-Cpanic=abort",
    "-Ccodegen-units=1",
    "-Ctarget-feature=+crt-static",
    // A fixed address: nothing has to relocate the program, and nothing could, without a loader.
    "-Crelocation-model=static",
];

const LINK: &[&str] = &[
    "-Clto=fat",
    "-Cstrip=symbols",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
    // One page of headers less to map, and no build id that would differ between machines.
    "-Clink-arg=-Wl,-z,noseparate-code,--build-id=none,-z,norelro,--gc-sections",
];

fn main() {
    let shim = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../shim/src");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    watch(&shim);
    built();
    let target = variable("TARGET");
    assert!(target.starts_with("x86_64-"), "the shim's system calls are x86-64 only, not {target}");

    compile(&target, &shim.join("lib.rs"), |rustc| {
        rustc.args(["--crate-name=shim", "--crate-type=rlib", "--out-dir"]).arg(&out);
    });
    compile(&target, &shim.join("main.rs"), |rustc| {
        rustc.args(["--crate-name=sandboxctl_shim", "--crate-type=bin"]).args(LINK);
        rustc.arg("--extern").arg(format!("shim={}", out.join("libshim.rlib").display()));
        rustc.arg("-o").arg(out.join("shim"));
    });
}

/// The day of this build: a host whose clock is before it has a wrong clock. SOURCE_DATE_EPOCH makes builds repeatable,
/// <https://reproducible-builds.org/specs/source-date-epoch/>.
fn built() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    };
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = given.map_or_else(now, |text| {
        text.parse().unwrap_or_else(|error| panic!("SOURCE_DATE_EPOCH is no number: {error}"))
    });
    println!("cargo:rustc-env=SANDBOXCTL_BUILT={}", seconds / 86_400 * 86_400);
}

fn compile(target: &str, source: &Path, arguments: impl FnOnce(&mut Command)) {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(COMMON).arg(format!("--target={target}")).arg(source);
    arguments(&mut rustc);
    let status = rustc.status().unwrap_or_else(|error| panic!("failed to start rustc: {error}"));
    assert!(status.success(), "failed to compile {}: {status}", source.display());
}

fn watch(directory: &Path) {
    println!("cargo:rerun-if-changed={}", directory.display());
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", directory.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            watch(&path);
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo did not set {name}: {error}"))
}
