//! `sandboxctl init`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use super::Failure;
use super::args::{InitArgs, Lang};
use super::output::text_out;
use crate::exit;

/// One file of a template.
struct File {
    path: &'static str,
    text: &'static str,
    exec: bool,
}

macro_rules! file {
    ($lang:literal, $path:literal, $exec:literal) => {
        File {
            path: $path,
            text: include_str!(concat!("../../templates/", $lang, "/", $path)),
            exec: $exec,
        }
    };
}

const PYTHON: &[File] =
    &[file!("python", "extension.toml", false), file!("python", "main.py", false)];
const NODE: &[File] = &[file!("node", "extension.toml", false), file!("node", "main.js", false)];
const SHELL: &[File] = &[file!("shell", "extension.toml", false), file!("shell", "main.sh", true)];
const RUST: &[File] = &[
    file!("rust", "extension.toml", false),
    file!("rust", "Cargo.toml", false),
    file!("rust", "src/main.rs", false),
    file!("rust", "build.sh", true),
];

pub(super) fn main(args: &InitArgs) -> Result<ExitCode, Failure> {
    let template = match args.lang {
        Lang::Python => PYTHON,
        Lang::Node => NODE,
        Lang::Shell => SHELL,
        Lang::Rust => RUST,
    };
    let title = args.dir.file_name().and_then(|name| name.to_str()).unwrap_or("extension");
    let name = word(title);
    let publisher = word(&args.publisher);
    if name.is_empty() || publisher.is_empty() {
        return Err(Failure::new("failed to name the extension: no letter or digit to use")
            .hint("the folder's name and --publisher become its id".to_owned())
            .code(exit::USAGE));
    }
    fresh(&args.dir)?;
    let id = format!("{publisher}.{name}");
    for file in template {
        let text = file
            .text
            .replace("{{id}}", &id)
            .replace("{{name}}", &toml_text(title))
            .replace("{{publisher}}", &publisher);
        write(&args.dir.join(file.path), &text, file.exec)?;
    }
    if args.lang == Lang::Rust {
        build(&args.dir)?;
    }
    text_out(&format!(
        "made {} ({id})\nrun it: sandboxctl run {}\n",
        args.dir.display(),
        args.dir.display()
    ))
}

/// The part of an id that a name becomes: `[a-z0-9-]`.
fn word(name: &str) -> String {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    plain.trim_matches('-').to_owned()
}

/// Text inside a TOML string.
fn toml_text(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control() && !matches!(letter, '"' | '\\')).collect()
}

/// A new folder, or an empty one: nobody's files are overwritten.
fn fresh(dir: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("failed to create {}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(failed)?;
    // Readable by everyone, whatever the umask: the extension runs under an id that owns nothing.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    match fs::read_dir(dir).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => {
            Err(Failure::new(format!("failed to create {}: it is not empty", dir.display()))
                .hint("give a new name".to_owned()))
        }
    }
}

fn write(path: &Path, text: &str, exec: bool) -> Result<(), Failure> {
    let mode = if exec { 0o755 } else { 0o644 };
    let written = (|| {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    })();
    written.map_err(|error| Failure::new(format!("failed to write {}: {error}", path.display())))
}

/// Builds the Rust example, so that the bundle runs at once.
fn build(dir: &Path) -> Result<(), Failure> {
    let hint = format!("install Rust, then run {}", dir.join("build.sh").display());
    let status = Command::new("./build.sh").current_dir(dir).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => {
            let binary = dir.join("bin/hello");
            for path in [dir.join("bin"), binary] {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(|error| {
                    Failure::new(format!("failed to open up {}: {error}", path.display()))
                })?;
            }
            Ok(())
        }
        Ok(status) => {
            Err(Failure::new(format!("failed to build the example: {status}")).hint(hint))
        }
        Err(error) => Err(Failure::new(format!("failed to build the example: {error}")).hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        assert_eq!(word("Hello World!"), "hello-world");
        assert_eq!(word("--a.b--"), "a-b");
        assert_eq!(word("\u{e9}"), "");
        assert_eq!(toml_text("a\"b\\c\n"), "abc");
    }
}
