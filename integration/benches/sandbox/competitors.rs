//! The commands that launch the same static `true`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::{Value, json};

use crate::{Bench, Result, programs};

/// A way to launch it.
pub(crate) struct Competitor {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// None where it is not installed.
    pub(crate) command: Option<Command>,
    /// Whether the others are compared with it.
    pub(crate) is_reference: bool,
}

/// Every competitor, in table order.
pub(crate) fn all(bench: &Bench) -> Result<Vec<Competitor>> {
    let bundle = programs::bundle(&bench.folder, "true");
    let bundle = bundle.to_str().ok_or("the folder of the bench is not UTF-8")?;
    let program = format!("{bundle}/true");
    let row = |name, command| Competitor { name, command, is_reference: false };

    let mut floor = quiet(bench.folder.join("floor"));
    floor.arg(&program);
    let reference = find("bwrap").map(|path| equal_tree(bench, path, bundle)).transpose()?;
    Ok(vec![
        row("sandboxctl run", Some(bench.sandboxctl(&["run", bundle]))),
        Competitor {
            name: "bwrap --unshare-all, same tree",
            command: reference,
            is_reference: true,
        },
        row("bwrap --unshare-all, small tree", with("bwrap", &small_tree(bundle))),
        row("kernel floor of our layers", Some(floor)),
        row("runc run", find("runc").map(|path| runc(bench, path, bundle)).transpose()?),
        row(
            "firejail",
            with(
                "firejail",
                &[
                    "--quiet",
                    "--noprofile",
                    "--private",
                    "--private-dev",
                    "--net=none",
                    "--caps.drop=all",
                    "--nonewprivs",
                    "--seccomp",
                    &program,
                ],
            ),
        ),
        row(
            "nsjail",
            with(
                "nsjail",
                &[
                    "-Mo",
                    "-Q",
                    "--user",
                    "99999",
                    "--group",
                    "99999",
                    "-R",
                    "/usr",
                    "-R",
                    "/etc",
                    "-R",
                    &format!("{bundle}:/ext"),
                    "-T",
                    "/tmp",
                    "--",
                    "/ext/true",
                ],
            ),
        ),
        row(
            "hakoniwa run",
            with(
                "hakoniwa",
                &[
                    "run",
                    "--unshare-all",
                    "--rootdir",
                    "/",
                    "-b",
                    &format!("{bundle}:/ext"),
                    "--",
                    "/ext/true",
                ],
            ),
        ),
    ])
}

/// The path of a program, if it is installed.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn quiet(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn with(name: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = quiet(find(name)?);
    command.args(arguments);
    Some(command)
}

fn small_tree(bundle: &str) -> Vec<&str> {
    vec![
        "--unshare-all",
        "--ro-bind",
        "/usr",
        "/usr",
        "--ro-bind",
        "/etc",
        "/etc",
        "--symlink",
        "usr/lib64",
        "/lib64",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
        "--ro-bind",
        bundle,
        "/ext",
        "--",
        "/ext/true",
    ]
}

/// bwrap with the tree that `sandboxctl explain` says this bundle gets. Small files are empty folders there, which is less
/// work: what is compared must not be slowed down by how it is told to write a file.
fn equal_tree(bench: &Bench, bwrap: PathBuf, bundle: &str) -> Result<Command> {
    let output =
        bench.sandboxctl(&["explain", "--json", bundle]).stdout(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(format!("sandboxctl explain failed: {}", output.status).into());
    }
    let explained: Value = serde_json::from_slice(&output.stdout)?;
    let tree = explained["plan"]["tree"].as_array().ok_or("explain --json has no plan.tree")?;
    let mut arguments = vec!["--unshare-all".to_owned()];
    for entry in tree {
        arguments.extend(mount(entry, bundle)?);
    }
    arguments.extend(["--chdir", "/ext", "--clearenv", "--", "/ext/true"].map(str::to_owned));
    let mut command = quiet(bwrap);
    command.args(arguments);
    Ok(command)
}

fn mount(entry: &Value, bundle: &str) -> Result<Vec<String>> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let target = text("target");
    let kind = text("kind");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Ok(match kind.as_str() {
        "proc" => words(&["--proc", "/proc"]),
        "dev" => words(&["--dev", "/dev"]),
        "bundle" => words(&["--ro-bind", bundle, &target]),
        "symlink" => words(&["--symlink", &text("to"), &target]),
        "dir" | "file" | "tripwire" => words(&["--dir", &target]),
        "mask" if Path::new(&target).exists() => words(&["--ro-bind", "/dev/null", &target]),
        "tmpfs" => {
            let bytes = entry["sizeMb"].as_u64().unwrap_or(16) << 20;
            words(&["--size", &bytes.to_string(), "--tmpfs", &target])
        }
        "mirror" => match fs::read_link(&target) {
            Ok(link) => words(&["--symlink", &link.to_string_lossy(), &target]),
            Err(_) if Path::new(&target).exists() => words(&["--ro-bind", &target, &target]),
            Err(_) => Vec::new(),
        },
        "mask" => Vec::new(),
        _ => return Err(format!("explain --json has a tree entry of unknown kind {kind:?}").into()),
    })
}

/// runc with its own default configuration, without a terminal, and our program.
fn runc(bench: &Bench, runc: PathBuf, bundle: &str) -> Result<Command> {
    let folder = bench.folder.join("runc");
    fs::create_dir_all(folder.join("rootfs/ext"))?;
    let config = folder.join("config.json");
    if config.exists() {
        fs::remove_file(&config)?;
    }
    let status = quiet(&runc).arg("spec").current_dir(&folder).status()?;
    if !status.success() {
        return Err(format!("runc spec failed: {status}").into());
    }
    let mut spec: Value = serde_json::from_slice(&fs::read(&config)?)?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/ext/true"]);
    let options = ["rbind", "ro"];
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        for (source, target) in [("/usr", "/usr"), ("/etc", "/etc"), (bundle, "/ext")] {
            fs::create_dir_all(folder.join("rootfs").join(target.trim_start_matches('/')))?;
            mounts.push(json!({
                "destination": target, "type": "none", "source": source, "options": options,
            }));
        }
    }
    fs::write(&config, serde_json::to_vec_pretty(&spec)?)?;
    let mut command = quiet(runc);
    command.args(["run", "--bundle"]).arg(&folder).arg("sandboxctl-bench");
    Ok(command)
}
