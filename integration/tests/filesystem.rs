//! The file tree: what is there, what can be written, what of the host is not there.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use sandboxctl_integration::bundle::{Built, probe};
use sandboxctl_integration::site::binary;
use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};
use serde_json::json;

fn python(program: &str) -> serde_json::Value {
    Site::new().run(&Bundle::python(program)).expect(0).json()
}

#[test]
fn everything_but_its_own_places_is_read_only() {
    require!();
    let seen = python(
        r#"
def read_only(path): return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
def flag(path, bit): return bool(os.statvfs(path).f_flag & bit)
print(json.dumps({
    "readOnly": {p: read_only(p) for p in ["/", "/usr", "/ext", "/etc/ssl/certs", "/proc", "/tmp", "/data", "/dev/shm"]},
    "write": {p: attempt(lambda: open(p + "/probe", "w")) for p in ["", "/usr", "/ext", "/etc", "/dev", "/proc", "/var"]},
    "own": {p: attempt(lambda: open(p + "/probe", "w")) for p in ["/tmp", "/data", "/dev/shm", "/var/tmp"]},
    "noexec": [p for p in ["/tmp", "/data", "/dev/shm", "/proc"] if flag(p, os.ST_NOEXEC)],
    "nosuid": [p for p in ["/", "/usr", "/ext", "/tmp", "/data", "/dev/shm", "/proc"] if flag(p, os.ST_NOSUID)],
    "nodev": [p for p in ["/usr", "/ext", "/tmp", "/data", "/dev/shm"] if flag(p, os.ST_NODEV)],
}))
"#,
    );
    assert_eq!(
        seen["readOnly"],
        json!({"/": true, "/usr": true, "/ext": true, "/etc/ssl/certs": true, "/proc": true,
            "/tmp": false, "/data": false, "/dev/shm": false})
    );
    for (place, result) in seen["write"].as_object().unwrap() {
        assert_ne!(result, "ok", "{place}");
    }
    for (place, result) in seen["own"].as_object().unwrap() {
        assert_eq!(result, "ok", "{place}");
    }
    assert_eq!(seen["noexec"], json!(["/tmp", "/data", "/dev/shm", "/proc"]));
    assert_eq!(seen["nosuid"], json!(["/", "/usr", "/ext", "/tmp", "/data", "/dev/shm", "/proc"]));
    assert_eq!(seen["nodev"], json!(["/usr", "/ext", "/tmp", "/data", "/dev/shm"]));
}

#[test]
fn the_hosts_paths_are_absent() {
    require!();
    let site = Site::new();
    let secret = site.fresh_dir("secret");
    fs::write(secret.join("token"), "hunter2").unwrap();
    let outcome = site.run(&Bundle::python(&format!(
        r#"
print(json.dumps({{p: attempt(lambda: os.stat(p)) for p in [
    {:?}, {:?}, "/run/sandboxctl", "/var/lib/sandboxctl", "/etc/sandboxctl", "/lost+found", "/var/log", "/opt",
    "/etc/machine-id", "/proc/1/root/run", "/sys/fs/cgroup", "/sys/class",
]}}))
"#,
        secret.display(),
        secret.join("token").display(),
    )));
    for (path, result) in outcome.expect(0).json().as_object().unwrap() {
        assert!(["ENOENT", "EACCES"].contains(&result.as_str().unwrap()), "{path}: {result}");
    }
}

/// What is mounted inside: its own file systems, and of the host the listed binds, read-only.
#[test]
fn nothing_else_is_mounted() {
    require!();
    let seen = python(
        r#"
lines = [line.split() for line in open("/proc/self/mountinfo").read().splitlines()]
print(json.dumps([{"at": l[4], "options": l[5].split(","), "type": l[l.index("-") + 1]} for l in lines]))
"#,
    );
    let mut points = BTreeSet::new();
    for mount in seen.as_array().unwrap() {
        let at = mount["at"].as_str().unwrap();
        let read_only = mount["options"].as_array().unwrap().contains(&json!("ro"));
        let kind = mount["type"].as_str().unwrap();
        points.insert(at.to_owned());
        let own = ["/tmp", "/data", "/dev/shm"].contains(&at);
        assert!(own && kind == "tmpfs" || read_only || at.starts_with("/dev/"), "{mount}");
        assert!(
            !["sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "securityfs"].contains(&kind),
            "{mount}"
        );
        let known = [
            "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/etc/", "/ext",
            "/tmp", "/data", "/dev", "/proc",
        ];
        assert!(at == "/" || known.iter().any(|prefix| at.starts_with(prefix)), "{mount}");
    }
    for wanted in ["/", "/usr", "/ext", "/tmp", "/data", "/proc"] {
        assert!(points.contains(wanted), "no mount at {wanted} in {points:?}");
    }
}

#[test]
fn the_kernels_settings_and_secrets_are_closed() {
    require!();
    let seen = python(
        r#"
def write(path):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"x")
def content(path):
    if os.read(os.open("/proc/" + path, os.O_RDONLY), 1): raise FileExistsError(errno.EEXIST, "")
print(json.dumps({
    "write": {p: attempt(lambda: write("/proc/sys/" + p)) for p in
        ["kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory", "net/ipv4/ip_forward", "kernel/modprobe"]
        if os.path.exists("/proc/sys/" + p)},
    "other": {p: attempt(lambda: write("/proc/" + p)) for p in ["sysrq-trigger", "self/oom_score_adj_", "1/oom_score_adj"]},
    "masked": {p: attempt(lambda: content(p)) for p in
        ["kcore", "keys", "key-users", "timer_list", "kallsyms", "sysrq-trigger"] if os.path.exists("/proc/" + p)},
}))
"#,
    );
    for (path, result) in seen["write"].as_object().unwrap() {
        assert!(
            ["EACCES", "EROFS", "EPERM"].contains(&result.as_str().unwrap()),
            "{path}: {result}"
        );
    }
    for (path, result) in seen["other"].as_object().unwrap() {
        assert_ne!(result, "ok", "{path}");
    }
    assert!(seen["masked"].as_object().unwrap().len() >= 2, "{seen}");
    for (path, result) in seen["masked"].as_object().unwrap() {
        // Empty or closed; EEXIST says that there was something to read.
        assert!(["ok", "EACCES"].contains(&result.as_str().unwrap()), "{path}: {result}");
    }
}

#[test]
fn memory_files_are_not_executed() {
    require!(Need::MemfdNoexec);
    let seen = python(
        r#"
import subprocess
MFD_EXEC = 0x10
def exec_memory(flags):
    fd = os.memfd_create("own", flags)
    os.write(fd, open("/usr/bin/true", "rb").read())
    subprocess.run(["/proc/self/fd/%d" % fd], pass_fds=[fd])
print(json.dumps({"plain": attempt(lambda: exec_memory(0)), "exec": attempt(lambda: exec_memory(MFD_EXEC)),
    "data": attempt(lambda: os.write(os.memfd_create("data", 0), b"x"))}))
"#,
    );
    assert_eq!(seen, json!({"plain": "EACCES", "exec": "EACCES", "data": "ok"}));
}

#[test]
fn devices_work_and_no_others_are_there() {
    require!();
    let seen = python(
        r#"
def full(): os.write(os.open("/dev/full", os.O_WRONLY), b"x")
print(json.dumps({
    "zero": open("/dev/zero", "rb").read(4) == bytes(4), "random": len(open("/dev/urandom", "rb").read(8)),
    "null": attempt(lambda: open("/dev/null", "w").write("x")), "full": attempt(full),
    "stdout": os.readlink("/dev/stdout"), "names": sorted(os.listdir("/dev")),
}))
"#,
    );
    assert_eq!(seen["zero"], true);
    assert_eq!(seen["random"], 8);
    assert_eq!(seen["null"], "ok");
    assert_eq!(seen["full"], "ENOSPC");
    assert_eq!(seen["stdout"], "/proc/self/fd/1");
    let names = json!([
        "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"
    ]);
    assert_eq!(seen["names"], names);
}

/// Only the granted folder, through no link.
#[test]
fn a_link_in_the_bundle_reaches_nothing_of_the_host() {
    require!();
    let site = Site::new();
    let secret = site.fresh_dir("secret");
    fs::write(secret.join("token"), "hunter2").unwrap();
    let built = Bundle::python(
        r#"
print(json.dumps({p: attempt(lambda: open("/ext/" + p).read()) for p in
    ["absolute", "relative", "folder/token", "main.py"]}))
"#,
    )
    .build(&site);
    symlink(secret.join("token"), built.path.join("absolute")).unwrap();
    let up = "../".repeat(12) + secret.join("token").to_str().unwrap();
    symlink(up, built.path.join("relative")).unwrap();
    symlink(&secret, built.path.join("folder")).unwrap();
    let seen = site.run_built(&built, &[]).expect(0).json();
    for path in ["absolute", "relative", "folder/token"] {
        assert_ne!(seen[path], "ok", "{path}");
    }
    assert_eq!(seen["main.py"], "ok");
}

/// A bundle that brings its own root must not make the launch, which is root, write through its links. What a manifest is
/// granted lies beneath one of them, so that there is something to be built there.
#[test]
fn an_evil_rootfs_writes_nothing_on_the_host() {
    require!();
    let site = Site::new();
    for link in ["/", "../../..", "/CANARY", "../../../../../../../../CANARY"] {
        let canary = site.fresh_dir("canary");
        fs::set_permissions(&canary, fs::Permissions::from_mode(0o777)).unwrap();
        let built = granted().runtime("bundle").build(&site);
        let root = built.path.join("rootfs");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let link = link.replace("/CANARY", canary.to_str().unwrap());
        for name in [
            "var", "etc", "usr", "home", "root", "run", "proc", "dev", "tmp", "data", "ext", "sys",
            "srv",
        ] {
            symlink(&link, root.join(name)).unwrap();
        }
        let before = tree(&site);
        let outcome = with_granted_folder(&site, &built);
        // The command was not found in such a root, or the launch refused to go on with it.
        let fine = matches!(outcome.code(), 0 | 126 | 127);
        assert!(fine, "{}: {}", outcome.code(), outcome.stderr);
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 0, "through {link}");
        assert_eq!(before, tree(&site), "through {link}");
        assert!(!Path::new("/extensions").exists(), "through {link}");
    }
}

/// A link at the top of a rootfs is a link inside, never a way to bring a folder of the host in.
#[test]
fn an_evil_rootfs_reads_nothing_of_the_host() {
    require!();
    let site = Site::new();
    let secret = site.fresh_dir("secret");
    fs::write(secret.join("token"), "hunter2").unwrap();
    let paths = ["/absolute/token", "/relative/token", "/file", "/bin/inner/token", "/own/file"];
    let built = Bundle::command(&[&["/bin/probe", "read"], &paths[..]].concat())
        .runtime("bundle")
        .executable("rootfs/bin/probe", fs::read(probe()).unwrap())
        .file("rootfs/own/file", "mine")
        .build(&site);
    let root = built.path.join("rootfs");
    symlink(&secret, root.join("absolute")).unwrap();
    symlink("../".repeat(12) + secret.to_str().unwrap(), root.join("relative")).unwrap();
    symlink(secret.join("token"), root.join("file")).unwrap();
    symlink(&secret, root.join("bin/inner")).unwrap();
    let seen = site.run_built(&built, &[]).expect(0).json();
    let (own, host) = paths.split_last().unwrap();
    assert_eq!(seen[own], "ok");
    for path in host {
        assert!(["ENOENT", "EACCES"].contains(&seen[path].as_str().unwrap()), "{path}: {seen}");
    }
}

/// A bundle that may read `/srv/extensions/test.granted/in` and write `out` beside it.
fn granted() -> Bundle {
    Bundle::command(&["/ext/probe", "true"])
        .with_probe()
        .id("test.granted")
        .tier("professional")
        .permission("FILE_DOWNLOAD")
        .permission("FILE_UPLOAD")
        .manifest(
            "[files]\nread = [\"/srv/extensions/test.granted/in/*\"]\n\
             write = [\"/srv/extensions/test.granted/out/*\"]\n",
        )
}

/// Runs where those folders exist, on a file system of their own in a mount namespace that ends with the run; `out` is
/// user 4321's. Afterwards it is listed on stdout, with owners.
fn with_granted_folder(site: &Site, built: &Built) -> Outcome {
    with_folder_of(site, built, 4321)
}

fn with_folder_of(site: &Site, built: &Built, owner: u32) -> Outcome {
    let mut command = site.prepare("unshare");
    let script = r#"set -e
mount -t tmpfs none /srv
base=/srv/extensions/test.granted; mkdir -p $base/in $base/out $base/other
echo for you > $base/in/file; echo not for you > $base/other/file
chown $OWNER:$OWNER $base/out
"$@"
code=$?; cd $base/out; stat -c '%u %n' * 2>/dev/null || :; exit $code"#;
    command.env("OWNER", owner.to_string());
    command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]);
    command.arg(binary()).args(["run", "--dev"]);
    site.start_command(command, built, &[]).wait()
}

#[test]
fn granted_folders_are_there_and_nothing_beside_them() {
    require!(Need::IdMappedTmpfs);
    let site = Site::new();
    let script = r"cd /srv/extensions/test.granted
cat in/file; echo x > in/new && echo wrote; echo result > out/made; cat other/file && echo read; ls /srv && echo listed
true";
    let bundle = granted().file("main.sh", script).with_command(&["sh", "main.sh"]);
    let outcome = with_granted_folder(&site, &bundle.build(&site));
    // What it wrote belongs to the folder's owner, not to an id that a later run may have.
    assert_eq!(outcome.expect(0).stdout, "for you\n4321 made\n");
}

/// What an extension writes as root could be set-user-id.
#[test]
fn a_folder_of_roots_is_not_granted_for_writing() {
    require!();
    let site = Site::new();
    let outcome = with_folder_of(&site, &granted().build(&site), 0);
    assert!(outcome.expect(125).stderr.contains("it belongs to root"), "{}", outcome.stderr);
}

/// Everything in the bundles and canaries of a site.
fn tree(site: &Site) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<_> = fs::read_dir(site.dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            !path.starts_with(site.state()) && !path.to_str().unwrap().contains("report")
        })
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path().display().to_string());
        }
    }
    found
}

/// What the operator's policy grants by path is there, and only that.
#[test]
fn a_manifest_cannot_name_paths_outside_its_roots() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["true"])
        .permission("READ_WORK_ORDERS")
        .manifest("[files]\nread = [\"/etc/*\"]\n");
    let outcome = site.run(&bundle);
    outcome.expect(126);
}

/// Fedora and its relatives keep certificate authorities in /etc/pki and lead there from /etc/ssl.
#[test]
fn authorities_are_found_where_other_distributions_have_them() {
    require!(Need::Program("python3"));
    let site = Site::new();
    let built = Bundle::python(
        r#"
import ssl
print(json.dumps({
    "authorities": len(ssl.create_default_context(cafile="/etc/ssl/certs/ca-bundle.crt").get_ca_certs()) > 0,
    "default": open("/etc/pki/tls/cert.pem").read(11),
    "java": os.path.exists("/etc/pki/java/cacerts"),
    "private": attempt(lambda: open("/etc/pki/tls/private/host.key")),
}))
"#,
    )
    .build(&site);
    let script = r#"set -e
tree=$1; shift
mkdir "$tree/ssl"
cp -a /etc/{passwd,group,ld.so.cache,alternatives} "$tree"
cp -a /etc/ssl/openssl.cnf "$tree/ssl"
mkdir -p "$tree"/pki/tls/{certs,private} "$tree"/pki/ca-trust/extracted/{pem,java} "$tree"/pki/java
cp /etc/ssl/certs/ca-certificates.crt "$tree/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
echo secret >"$tree/pki/tls/private/host.key"
: >"$tree/pki/ca-trust/extracted/java/cacerts"
ln -s /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem "$tree/pki/tls/certs/ca-bundle.crt"
ln -s /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem "$tree/pki/tls/cert.pem"
ln -s /etc/pki/ca-trust/extracted/java/cacerts "$tree/pki/java/cacerts"
ln -s ../pki/tls/certs "$tree/ssl/certs"
mount --bind "$tree" /etc
exec "$@""#;
    let mut command = site.prepare("unshare");
    command.args(["-m", "--propagation", "private", "bash", "-c", script, "bash"]);
    command.arg(site.fresh_dir("etc")).arg(binary()).arg("run");
    let outcome = site.start_command(command, &built, &[]).wait();
    outcome.expect(0);
    assert_eq!(
        outcome.json(),
        json!({"authorities": true, "default": "-----BEGIN ", "java": true, "private": "ENOENT"})
    );
}
