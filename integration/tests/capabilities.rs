//! Privileges: capabilities, ids, `no_new_privs`, and what is inherited from whoever started the supervisor.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sandboxctl_integration::{Bundle, Site, require};
use serde_json::{Value, json};

fn status(site: &Site) -> String {
    site.run(&Bundle::command(&["cat", "/proc/self/status"])).expect(0).stdout.clone()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.strip_prefix(':')).unwrap_or_else(|| panic!("no {name}")).trim()
}

#[test]
fn no_capability_is_left_in_any_set() {
    require!();
    let status = status(&Site::new());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn nothing_can_be_gained_by_executing() {
    require!();
    let status = status(&Site::new());
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    assert_eq!(field(&status, "Seccomp"), "2");
    assert_eq!(field(&status, "Groups"), "");
    assert_eq!(field(&status, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(field(&status, "Gid"), "1000\t1000\t1000\t1000");
}

/// Ignored signals survive execve(2), and the supervisor's own runtime ignores SIGPIPE.
#[test]
fn signals_are_as_after_boot() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["cat", "/proc/self/status"]).build(&site);
    let mut command = site.prepare("sh");
    // As under nohup(1), and with SIGTERM ignored.
    command.args(["-c", "trap '' HUP TERM QUIT; exec \"$0\" run \"$@\""]);
    command.arg(sandboxctl_integration::site::binary());
    let outcome = site.start_command(command, &bundle, &[]).wait();
    let status = &outcome.expect(0).stdout;
    for set in ["SigIgn", "SigBlk", "ShdPnd", "SigPnd"] {
        assert_eq!(field(status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn no_descriptor_but_stdio_is_inherited() {
    require!();
    let site = Site::new();
    let bundle = Bundle::python(
        r#"
listed = os.listdir("/proc/self/fd")
# The one that lists the folder is closed by now.
print(json.dumps(sorted(int(fd) for fd in listed if os.path.lexists("/proc/self/fd/" + fd))))
"#,
    )
    .build(&site);
    // One that is the host's secret, and inheritable.
    let secret = File::open("/etc/shadow").unwrap();
    fcntl(&secret, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let outcome = site.run_built(&bundle, &[]);
    assert!(secret.as_raw_fd() > 2);
    assert_eq!(outcome.expect(0).json(), json!([0, 1, 2]));
}

#[test]
fn its_session_is_its_own() {
    require!();
    let site = Site::new();
    let seen = site
        .run(&Bundle::python(
            r#"
stat = open("/proc/self/stat").read().rpartition(")")[2].split()
print(json.dumps({"group": int(stat[2]), "session": int(stat[3]), "terminal": int(stat[4]),
                  "open": attempt(lambda: open("/dev/tty"))}))
"#,
        ))
        .expect(0)
        .json();
    assert_eq!(
        (&seen["group"], &seen["session"], &seen["terminal"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_ne!(seen["open"], "ok", "a controlling terminal");
}

#[test]
fn nothing_of_the_environment_passes() {
    require!();
    let site = Site::new();
    let bundle = Bundle::command(&["env", "-0"]).env("GREETING", "hello world").build(&site);
    let mut command = site.prepare(sandboxctl_integration::site::binary());
    command.arg("run").env("AWS_SECRET_ACCESS_KEY", "hunter2").env("LD_PRELOAD_NOT", "x");
    let outcome = site.start_command(command, &bundle, &[]).wait();
    outcome.expect(0);
    let names: Vec<&str> = outcome
        .stdout
        .split('\0')
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    for host in ["AWS_SECRET_ACCESS_KEY", "LD_PRELOAD_NOT", "SANDBOXCTL_STATE_DIR", "SHELL", "PWD"]
    {
        assert!(!names.contains(&host), "{host} of the host is in {names:?}");
    }
    assert!(outcome.stdout.contains("GREETING=hello world\0"), "{}", outcome.stdout);
    for given in ["PATH", "HOME", "TMPDIR", "SANDBOX", "SANDBOX_EXTENSION_ID"] {
        assert!(names.contains(&given), "no {given} in {names:?}");
    }
}

/// Within its user namespace there is one id, and no way to another.
#[test]
fn no_other_user_can_be_become() {
    require!();
    let site = Site::new();
    let seen: Value = site
        .run(&Bundle::python(
            r#"
print(json.dumps({
    "root": attempt(lambda: os.setuid(0)), "host": attempt(lambda: os.setuid(0x70000000)),
    "own": attempt(lambda: os.setuid(1000)), "groups": attempt(lambda: os.setgroups([0])),
    "chown": attempt(lambda: (open("/tmp/x", "w").close(), os.chown("/tmp/x", 0, 0))),
}))
"#,
        ))
        .expect(0)
        .json();
    assert_eq!(
        seen,
        json!({"root": "EINVAL", "host": "EINVAL", "own": "ok", "groups": "EPERM", "chown": "EINVAL"})
    );
}
