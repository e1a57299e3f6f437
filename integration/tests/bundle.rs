//! Packed and listed bundles from the command line: what runs is what was verified, whoever works against it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use sandboxctl_integration::bundle::Built;
use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Need, Site, require};

/// Packs a bundle; the path of the archive.
fn pack(site: &Site, built: &Built) -> PathBuf {
    let sbx = site.fresh_dir("packed").join("bundle.sbx");
    let (dir, out) = (built.path.to_str().unwrap(), sbx.to_str().unwrap());
    site.sandboxctl(&["pack", dir, "-o", out]).expect(0);
    sbx
}

/// Takes the `MANIFEST` that `pack` made out of the archive, and puts it into the folder.
fn list(site: &Site, built: &Built) -> Vec<u8> {
    let tar = zstd::decode_all(fs::File::open(pack(site, built)).unwrap()).unwrap();
    let octal = std::str::from_utf8(&tar[124..135]).unwrap();
    let manifest = tar[512..512 + usize::from_str_radix(octal, 8).unwrap()].to_vec();
    fs::write(built.path.join("MANIFEST"), &manifest).unwrap();
    manifest
}

fn at(path: &Path) -> Built {
    Built { path: path.to_owned(), id: String::new() }
}

/// Everything beneath a folder but the state of `sandboxctl`.
fn tree(dir: &Path, state: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == state || path.file_name().unwrap().to_string_lossy().starts_with("report") {
                continue;
            }
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

/// The names in the store.
fn stored(site: &Site) -> Vec<String> {
    let Ok(entries) = fs::read_dir(site.state().join("store")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_packed_bundle_runs_from_the_store() {
    require!();
    let site = Site::new();
    let program = r#"
mount = [line.split() for line in open("/proc/self/mountinfo") if line.split()[4] == "/ext"]
def write(path):
    open(path, "w")
print(json.dumps({
    "text": open("/ext/lib/text").read(),
    "files": sorted(os.listdir("/ext")),
    "options": mount[0][5].split(","),
    "write": attempt(lambda: write("/ext/new")),
    "change": attempt(lambda: write("/ext/lib/text")),
    "chmod": attempt(lambda: os.chmod("/ext/lib/text", 0o777)),
    "unlink": attempt(lambda: os.unlink("/ext/lib/text")),
}))"#;
    let bundle = Bundle::python(program).file("lib/text", "hello");
    let built = bundle.build(&site);
    // Unreadable for the extension where it is; in the store it is not.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(built.path.join("main.py"), mode).unwrap();
    let sbx = pack(&site, &built);
    let outcome = site.run_built(&at(&sbx), &[]);
    let seen = outcome.expect(0).json();
    assert_eq!(seen["text"], "hello");
    assert_eq!(seen["files"], serde_json::json!(["MANIFEST", "extension.toml", "lib", "main.py"]));
    for option in ["ro", "nosuid", "nodev"] {
        let options = seen["options"].as_array().unwrap();
        assert!(options.iter().any(|one| one == option), "no {option}: {seen}");
    }
    for act in ["write", "change", "chmod", "unlink"] {
        assert_ne!(seen[act], "ok", "{act}");
    }
    // The same bundle, by its digest and from a listed folder.
    let names = stored(&site);
    assert_eq!(names.len(), 1);
    let by_digest = format!("sha256:{}", names[0]);
    assert_eq!(site.run_built(&at(Path::new(&by_digest)), &[]).expect(0).json(), seen);
    list(&site, &built);
    assert_eq!(site.run_built(&built, &[]).expect(0).json(), seen);
    assert_eq!(stored(&site), names);
    let listed = site.sandboxctl(&["store", "list", "--json"]).expect(0).json();
    assert_eq!(listed[0]["extensionId"], built.id.as_str());
    assert_eq!(listed[0]["signed"], false);
    site.sandboxctl(&["store", "verify"]).expect(0);
    // Without a list the folder itself runs, and nothing is stored.
    fs::remove_file(built.path.join("MANIFEST")).unwrap();
    fs::write(built.path.join("main.py"), "print('changed')").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(built.path.join("main.py"), mode).unwrap();
    assert_eq!(site.run_built(&built, &[]).expect(0).stdout, "changed\n");
    assert_eq!(stored(&site), names);
}

/// The same bytes for the same bundle, and never over another file unasked.
#[test]
fn packing_is_reproducible_and_careful() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["true"]).file("b/x", "1").file("a", "2").file("b-c", "3");
    let built = bundle.build(&site);
    let (first, second) = (pack(&site, &built), pack(&site, &built));
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let copy = bundle.build(&site);
    Command::new("touch").args(["-d", "2001-01-01"]).arg(copy.path.join("a")).status().unwrap();
    std::os::unix::fs::chown(copy.path.join("a"), Some(1000), Some(1000)).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(pack(&site, &copy)).unwrap());
    let (dir, out) = (built.path.to_str().unwrap(), first.to_str().unwrap());
    fs::write(&first, "mine").unwrap();
    let refused = site.sandboxctl(&["pack", dir, "-o", out]);
    assert!(refused.expect(1).stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(fs::read(&first).unwrap(), b"mine");
    let packed = site.sandboxctl(&["pack", dir, "-o", out, "--force", "--json"]).expect(0).json();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert_eq!(packed["files"], 4);
    // What cannot be packed leaves nothing.
    symlink("/etc/shadow", built.path.join("link")).unwrap();
    let refused = site.sandboxctl(&["pack", dir, "-o", site.dir().join("n.sbx").to_str().unwrap()]);
    assert!(refused.expect(1).stderr.contains("file-symlink"), "{}", refused.stderr);
    assert!(
        fs::read_dir(site.dir())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("n.sbx") })
    );
}

/// Whoever may read an archive can look at it: nothing is written for that.
#[test]
fn looking_needs_no_root_and_writes_nothing() {
    require!(Need::Program("setpriv"));
    let site = Site::new();
    let built = Bundle::command(&["true"]).build(&site);
    let sbx = pack(&site, &built);
    let program = site.dir().join("sandboxctl");
    fs::copy(binary(), &program).unwrap();
    let before = tree(site.dir(), &site.state());
    for command in ["check", "explain"] {
        site.sandboxctl(&[command, sbx.to_str().unwrap()]).expect(0);
    }
    assert!(stored(&site).is_empty());
    let mut unprivileged = site.prepare("setpriv");
    unprivileged.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let output = unprivileged.arg(&program).arg("check").arg(&sbx).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(tree(site.dir(), &site.state()), before);
}

#[test]
fn a_folder_that_is_not_its_list_is_refused_with_every_difference() {
    require!();
    let site = Site::new();
    let built =
        Bundle::command(&["true"]).file("a", "1").file("b", "2").file("c", "3").build(&site);
    list(&site, &built);
    site.run_built(&built, &[]).expect(0);
    fs::write(built.path.join("a"), "x").unwrap();
    fs::remove_file(built.path.join("b")).unwrap();
    fs::write(built.path.join("d"), "4").unwrap();
    let path = built.path.to_str().unwrap();
    for outcome in [
        site.run_built(&built, &[]),
        site.run_built(&built, &["--dev"]),
        site.sandboxctl(&["check", path]),
        site.sandboxctl(&["explain", path]),
    ] {
        let stderr = &outcome.expect(126).stderr;
        for part in [
            "a is not the listed content: its SHA-256 differs [file-content-differs]",
            "b is listed in MANIFEST and missing [file-missing]",
            "d is not listed in MANIFEST [file-unlisted]",
            "hint:",
        ] {
            assert!(stderr.contains(part), "no {part} in {stderr}");
        }
    }
    // A list of another version, and a signature without a list.
    fs::write(built.path.join("a"), "1").unwrap();
    fs::write(built.path.join("b"), "2").unwrap();
    fs::remove_file(built.path.join("d")).unwrap();
    let manifest = fs::read_to_string(built.path.join("MANIFEST")).unwrap();
    fs::write(built.path.join("MANIFEST"), manifest.replace("version 1.0.0", "version 1.0.1"))
        .unwrap();
    let outcome = site.run_built(&built, &[]);
    assert!(outcome.expect(126).stderr.contains("1.0.1"), "{}", outcome.stderr);
    fs::rename(built.path.join("MANIFEST"), built.path.join("MANIFEST.p7s")).unwrap();
    let outcome = site.run_built(&built, &[]);
    assert!(outcome.expect(126).stderr.contains("no list"), "{}", outcome.stderr);
}

#[test]
fn another_file_system_in_a_bundle_is_refused() {
    require!(Need::Program("unshare"));
    let site = Site::new();
    let built = Bundle::command(&["true"]).file("sub/a", "1").build(&site);
    list(&site, &built);
    let script = format!(
        "mount -t tmpfs none {0}/sub && echo 1 > {0}/sub/a && exec {1} check {0}",
        built.path.display(),
        binary().display()
    );
    let mut command = site.prepare("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", &script]);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{stderr}");
    assert!(stderr.contains("file-other-filesystem"), "{stderr}");
}

/// Archives by another program, each with one thing that must not be: refused by its code, and nothing is written
/// anywhere.
#[test]
fn hostile_archives_write_nothing() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let built = Bundle::command(&["true"]).file("lib/a", "1").build(&site);
    let manifest = list(&site, &built);
    fs::remove_file(built.path.join("MANIFEST")).unwrap();
    let script = site.dir().join("make.py");
    fs::write(&script, HOSTILE).unwrap();
    let tar = site.dir().join("hostile.tar");
    fs::write(site.dir().join("list"), manifest).unwrap();
    let cases = [
        ("good", ""),
        ("traversal", "path-dot-dot"),
        ("absolute", "path-absolute"),
        ("symlink", "archive-symlink"),
        ("symlink-then-file", "archive-symlink"),
        ("hardlink", "archive-hard-link"),
        ("chardev", "archive-device"),
        ("blockdev", "archive-device"),
        ("fifo", "archive-fifo"),
        ("folder", "archive-folder"),
        ("setuid", "archive-set-id"),
        ("duplicate", "archive-duplicate"),
        ("case", "path-case-clash"),
        ("bidi", "path-character"),
        ("non-ascii", "path-character"),
        ("gnu-long", "archive-long-name"),
        ("pax-long", "archive-pax"),
        ("pax-global", "archive-pax"),
        ("unlisted", "file-unlisted"),
        ("missing", "file-missing"),
        ("changed", "file-content-differs"),
        ("list-last", "archive-list-not-first"),
        ("gnu-format", "archive-not-ustar"),
    ];
    let sbx = site.dir().join("hostile.sbx");
    fs::write(&sbx, "").unwrap();
    fs::write(&tar, "").unwrap();
    let before = tree(site.dir(), &site.state());
    for (case, code) in cases {
        let mut python = Command::new("python3");
        let made =
            python.arg(&script).arg(case).arg(&built.path).arg(site.dir().join("list")).arg(&tar);
        assert!(made.status().unwrap().success(), "{case}");
        let bytes = zstd::encode_all(fs::File::open(&tar).unwrap(), 3).unwrap();
        fs::write(&sbx, bytes).unwrap();
        let names = stored(&site);
        let outcome = site.run_built(&at(&sbx), &[]);
        if code.is_empty() {
            outcome.expect(0);
            site.sandboxctl(&["store", "gc"]).expect(0);
            continue;
        }
        assert!(
            outcome.expect(126).stderr.contains(&format!("[{code}]")),
            "{case}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "", "{case}");
        let check = site.sandboxctl(&["check", sbx.to_str().unwrap()]);
        assert!(check.expect(126).stderr.contains(code), "{case}: {}", check.stderr);
        assert_eq!(stored(&site), names, "{case}: something stayed in the store");
        assert_eq!(tree(site.dir(), &site.state()), before, "{case}: written outside");
    }
}

/// `make.py CASE BUNDLE LIST OUT`
const HOSTILE: &str = r#"
import io, os, sys, tarfile
case, bundle, manifest, out = sys.argv[1:]
pax = {"pax-global": {"comment": "x"}}.get(case)
form = {"gnu-format": tarfile.GNU_FORMAT, "pax-long": tarfile.PAX_FORMAT,
        "pax-global": tarfile.PAX_FORMAT}.get(case, tarfile.USTAR_FORMAT)
with tarfile.open(out, "w", format=form, pax_headers=pax) as tar:
    def add(name, data=b"x", mode=0o644, kind=tarfile.REGTYPE, link=""):
        info = tarfile.TarInfo(name)
        info.mode, info.type, info.linkname = mode, kind, link
        info.size = len(data) if kind == tarfile.REGTYPE else 0
        info.devmajor, info.devminor = 1, 3
        tar.addfile(info, io.BytesIO(data))
    def real(name):
        path = os.path.join(bundle, name)
        return open(path, "rb").read(), 0o755 if os.access(path, os.X_OK) and os.stat(path).st_mode & 0o100 else 0o644
    if case == "list-last":
        add("lib/a", *real("lib/a"))
    add("MANIFEST", open(manifest, "rb").read())
    {
        "traversal": lambda: add("../../../../outside"),
        "absolute": lambda: add("/tmp/sandboxctl-outside"),
        "symlink": lambda: add("lib/a", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        "symlink-then-file": lambda: (add("lib", kind=tarfile.SYMTYPE, link="/tmp"), add("lib/a", *real("lib/a"))),
        "hardlink": lambda: add("lib/a", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        "chardev": lambda: add("lib/a", kind=tarfile.CHRTYPE),
        "blockdev": lambda: add("lib/a", kind=tarfile.BLKTYPE),
        "fifo": lambda: add("lib/a", kind=tarfile.FIFOTYPE),
        "folder": lambda: add("lib", kind=tarfile.DIRTYPE, mode=0o755),
        "setuid": lambda: add("lib/a", b"1", mode=0o4755),
        "duplicate": lambda: (add("lib/a", *real("lib/a")), add("lib/a", *real("lib/a"))),
        "case": lambda: add("LIB/A", *real("lib/a")),
        "bidi": lambda: add("lib/\u202ea"),
        "non-ascii": lambda: add("lib/\u00e4"),
        "gnu-long": lambda: tar.fileobj.write(tarfile.TarInfo("lib/" + "a" * 200).tobuf(tarfile.GNU_FORMAT)),
        "pax-long": lambda: add("lib/" + "a" * 200),
        "unlisted": lambda: add("lib/b"),
        "changed": lambda: add("lib/a", b"2"),
    }.get(case, lambda: None)()
    for name in ["extension.toml", "lib/a"]:
        if (case, name) != ("missing", "lib/a"):
            add(name, *real(name))
"#;

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody changes the bundle all the time while it is stored and run: either it is refused, or what runs is what was
/// listed. Never anything else.
#[test]
fn what_runs_was_verified_whoever_races() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["cat", "/ext/text"]).file("text", "good\n").build(&site);
    list(&site, &built);
    let (text, aside, evil) =
        (built.path.join("text"), site.dir().join("aside"), site.dir().join("evil"));
    fs::write(&evil, "evil\n").unwrap();
    let over = AtomicBool::new(false);
    let (mut ran, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let inside = fs::File::options().write(true).open(&text).unwrap();
            while !over.load(Ordering::Relaxed) {
                inside.write_all_at(b"evil\n", 0).unwrap();
                std::thread::sleep(Duration::from_micros(300));
                inside.write_all_at(b"good\n", 0).unwrap();
                // Good for a while, so that some runs get through.
                std::thread::sleep(Duration::from_micros(600));
                fs::rename(&text, &aside).unwrap();
                symlink(&evil, &text).unwrap();
                fs::rename(&aside, &text).unwrap();
            }
        });
        // Also where an assertion fails: the scope waits for the other thread.
        let _stop = Stop(&over);
        for _ in 0..60 {
            let outcome = site.run_built(&built, &["--quiet"]);
            if outcome.code() == 0 {
                ran += 1;
                assert_eq!(outcome.stdout, "good\n");
            } else {
                refused += 1;
                outcome.expect(126);
                assert_eq!(outcome.stdout, "");
            }
            site.sandboxctl(&["store", "gc"]).expect(0);
        }
    });
    assert!(refused > 0 && ran > 0, "no race: {ran} ran, {refused} were refused");
    assert!(stored(&site).is_empty());
}

/// Changing the source, or clearing the store, does nothing to a run that lives.
#[test]
fn a_live_run_keeps_its_files() {
    require!();
    let site = Site::new();
    let script = "echo ready; read -r _; cat /ext/text";
    let built = Bundle::shell(script).file("text", "good").build(&site);
    list(&site, &built);
    let gate = site.dir().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = site.prepare("sh");
    command.args(["-c", "exec \"$@\" < \"$0\""]).arg(&gate).arg(binary()).arg("run");
    let mut run = site.start_command(command, &built, &[]);
    let held = fs::File::options().read(true).write(true).open(&gate).unwrap();
    run.wait_for("ready");
    fs::write(built.path.join("text"), "evil").unwrap();
    let collected = site.sandboxctl(&["store", "gc", "--json"]).expect(0).json();
    assert_eq!(collected["removed"], serde_json::json!([]));
    assert_eq!(collected["inUse"], serde_json::json!(stored(&site)));
    std::io::Write::write_all(&mut &held, b"go\n").unwrap();
    assert_eq!(run.wait().expect(0).stdout, "ready\ngood");
    site.sandboxctl(&["store", "gc"]).expect(0);
    assert!(stored(&site).is_empty());
}

/// SIGKILL anywhere in storing a bundle: the store has it whole or not at all, and `gc` clears the rest.
#[test]
fn a_killed_ingest_leaves_no_half_bundle() {
    require!();
    let site = Site::new();
    let mut bundle = Bundle::command(&["true"]);
    for number in 0..40 {
        bundle = bundle.file(&format!("d{}/f{number}", number % 7), vec![b'x'; 100_000]);
    }
    let built = bundle.build(&site);
    let sources = [pack(&site, &built), built.path.clone()];
    list(&site, &built);
    let (mut killed, mut halves) = (0, 0);
    for number in 0_u32..40 {
        let source = at(&sources[usize::try_from(number).unwrap() % 2]);
        let run = site.start(&source, &["--quiet"]);
        std::thread::sleep(Duration::from_millis(u64::from(number)));
        run.signal(Signal::SIGKILL);
        killed += u32::from(run.wait().status.code().is_none());
        let unfinished = stored(&site).iter().filter(|name| name.starts_with('.')).count();
        halves += unfinished;
        site.sandboxctl(&["store", "verify"]).expect(0);
        site.sandboxctl(&["store", "gc"]).expect(0);
        assert!(stored(&site).is_empty(), "{:?}", stored(&site));
    }
    assert!(killed > 10, "only {killed} were killed before they ended");
    assert!(halves > 0, "none of {killed} was killed while it stored");
    site.run_built(&built, &[]).expect(0);
    site.sandboxctl(&["gc"]).expect(0);
}
