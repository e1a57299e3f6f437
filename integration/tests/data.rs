//! Persistent `/data`: kept between runs, under a hard quota, one run at a time, open to the operator.

use nix::sys::signal::Signal;
use sandboxctl_integration::{Bundle, Need, Site, require};

fn counter(id: &str) -> Bundle {
    Bundle::shell(
        r"n=$(cat /data/n 2>/dev/null || echo 0); echo $((n+1)) > /data/n; mkdir -p /data/sub; echo hi > /data/sub/x
cat /data/n",
    )
    .id(id)
    .storage("persistent")
}

#[test]
fn it_is_kept_between_runs_and_apart_between_extensions() {
    require!(Need::LoopDevices);
    let site = Site::new();
    for expected in ["1\n", "2\n", "3\n"] {
        assert_eq!(site.run(&counter("test.kept")).expect(0).well_behaved().stdout, expected);
    }
    assert_eq!(site.run(&counter("test.other")).expect(0).stdout, "1\n");
    let bundle = Bundle::shell("ls /data").id("test.kept").storage("ephemeral");
    assert_eq!(site.run(&bundle).expect(0).stdout, "");
}

#[test]
fn its_quota_is_hard() {
    require!(Need::LoopDevices);
    let site = Site::new();
    let bundle = Bundle::probe(&["fill", "/data"])
        .id("test.greedy")
        .storage("persistent")
        .limit("disk_mb", 16);
    let outcome = site.run(&bundle);
    let seen = outcome.expect(0).json();
    assert_eq!(seen["refusal"], "ENOSPC");
    let fitted = seen["mebibytes"].as_u64().unwrap();
    // What an image has beyond its limit is for its own tables; up to 4 MiB of it can be left over.
    assert!((16..=20).contains(&fitted), "{fitted} MiB of 16");
    outcome.recorded("disk-limit", "kind", "disk");
    assert_eq!(outcome.limit("disk")["enforcement"], "kernel");
    assert!(outcome.report()["usage"]["diskUsedMb"].as_f64().unwrap() >= 12.0);
    // Still full.
    let again = Bundle::shell("echo x > /data/more || exit 9; head -c 2M /dev/zero > /data/more")
        .id("test.greedy")
        .storage("persistent")
        .limit("disk_mb", 16);
    assert_ne!(site.run(&again).code(), 0);
}

#[test]
fn nothing_in_it_is_executed_or_a_device() {
    require!(Need::LoopDevices);
    let site = Site::new();
    let script = "cp /usr/bin/true /data/own; chmod 755 /data/own; /data/own && exit 7; grep ' /data ' /proc/mounts";
    let outcome = site.run(&Bundle::shell(script).storage("persistent"));
    let line = outcome.expect(0).stdout.clone();
    for option in ["rw", "nosuid", "nodev", "noexec"] {
        assert!(line.split([' ', ',']).any(|word| word == option), "{option} in {line}");
    }
}

#[test]
fn one_run_at_a_time_has_it() {
    require!(Need::LoopDevices);
    let site = Site::new();
    let holder = Bundle::probe(&["signals"]).id("test.locked").storage("persistent").build(&site);
    let mut first = site.start(&holder, &[]);
    first.wait_for("ready");
    let second = site.run_built(&holder, &[]);
    second.expect(125);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    assert!(second.stderr.contains("test.locked"), "{}", second.stderr);
    assert!(second.stderr.contains("hint:"), "{}", second.stderr);
    // The lock is of the data, not of the extension.
    site.run(&Bundle::probe(&["true"]).id("test.locked")).expect(0);
    first.signal(Signal::SIGTERM);
    first.wait().expect(40);
    let mut third = site.start(&holder, &[]);
    third.wait_for("ready");
    third.signal(Signal::SIGTERM);
    third.wait().expect(40);
}

#[test]
fn the_operator_can_list_get_and_remove_it() {
    require!(Need::LoopDevices);
    let site = Site::new();
    site.run(&counter("test.open")).expect(0);
    let list = site.sandboxctl(&["data", "ls", "test.open", "--json"]);
    let names: Vec<String> = list.expect(0).json()["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"n".to_owned()) && names.contains(&"sub".to_owned()), "{names:?}");
    assert!(site.sandboxctl(&["data", "ls", "test.open", "/sub"]).expect(0).stdout.contains('x'));
    assert_eq!(site.sandboxctl(&["data", "get", "test.open", "sub/x"]).expect(0).stdout, "hi\n");
    assert_eq!(site.sandboxctl(&["data", "get", "test.open", "/n"]).expect(0).stdout, "1\n");
    let copy = site.dir().join("copy");
    site.sandboxctl(&["data", "get", "test.open", "n", "-o", copy.to_str().unwrap()]).expect(0);
    assert_eq!(std::fs::read_to_string(copy).unwrap(), "1\n");
    let absent = site.sandboxctl(&["data", "get", "test.open", "absent"]);
    assert_ne!(absent.code(), 0);
    assert!(absent.stderr.contains("absent"), "{}", absent.stderr);
    site.sandboxctl(&["data", "rm", "test.open"]).expect(0);
    assert_ne!(site.sandboxctl(&["data", "ls", "test.open"]).code(), 0);
    assert_eq!(site.run(&counter("test.open")).expect(0).stdout, "1\n");
}

/// What an extension leaves there must not lead the operator's command out of it.
#[test]
fn its_links_lead_the_operator_nowhere() {
    require!(Need::LoopDevices);
    let site = Site::new();
    let secret = site.fresh_dir("secret").join("token");
    std::fs::write(&secret, "hunter2").unwrap();
    let script = format!(
        "ln -s {0} /data/link; ln -s {1} /data/folder; ln -s /etc/shadow /data/shadow",
        secret.display(),
        secret.parent().unwrap().display()
    );
    site.run(&Bundle::shell(&script).id("test.links").storage("persistent")).expect(0);
    for path in ["link", "folder/token", "shadow", "../../../../../../../../etc/shadow"] {
        let outcome = site.sandboxctl(&["data", "get", "test.links", path]);
        assert_ne!(outcome.code(), 0, "{path}");
        assert_eq!(outcome.stdout, "", "{path}");
    }
    for id in ["../test.links", "test.links/..", "", "."] {
        assert_ne!(site.sandboxctl(&["data", "ls", id]).code(), 0, "{id}");
    }
}
