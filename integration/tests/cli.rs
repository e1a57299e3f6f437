//! The command line: what each command says, and the exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use sandboxctl_integration::{Bundle, Need, Site, require};

#[test]
fn a_command_that_is_not_there_is_127() {
    require!();
    let site = Site::new();
    for command in ["no-such-program", "/ext/absent", "/usr/bin/absent"] {
        let outcome = site.run(&Bundle::command(&[command]));
        outcome.expect(127);
        assert!(outcome.stderr.contains(command), "{}", outcome.stderr);
    }
}

/// Found, and not to be executed: a data file, a folder, a script whose interpreter is missing.
#[test]
fn a_command_that_cannot_be_executed_is_127() {
    require!();
    let site = Site::new();
    let bundle = |command: &str| {
        Bundle::command(&[command])
            .file("data", "x")
            .executable("script", "#!/no/such/interpreter\n")
    };
    for command in ["/ext/data", "/ext", "/ext/script"] {
        site.run(&bundle(command)).expect(127);
    }
}

#[test]
fn arguments_pass_through() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["printf", "%s|", "own"]).build(&site);
    let outcome = site.sandboxctl(&[
        "run",
        built.path.to_str().unwrap(),
        "--",
        "--flag",
        "two words",
        "",
        "-x",
    ]);
    assert_eq!(outcome.expect(0).stdout, "own|--flag|two words||-x|");
}

#[test]
fn stdin_is_the_extensions() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["tr", "a-z", "A-Z"]).build(&site);
    let mut command = site.prepare("sh");
    command.args(["-c", "printf hello | \"$0\" run -q \"$1\""]);
    let output =
        command.arg(sandboxctl_integration::site::binary()).arg(&built.path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HELLO");
}

#[test]
fn usage_errors_are_2() {
    require!();
    let site = Site::new();
    for arguments in [
        &["run"][..],
        &["frob"],
        &["run", "--no-such-flag", "x"],
        &["run", "--sample-ms", "0", "x"],
        &[],
    ] {
        site.sandboxctl(arguments).expect(2);
    }
    site.sandboxctl(&["--help"]).expect(0);
    site.sandboxctl(&["--version"]).expect(0);
}

/// Says which file, why, and what to do.
#[test]
fn what_is_no_bundle_is_refused() {
    require!();
    let site = Site::new();
    let empty = site.fresh_dir("empty");
    for path in [empty.to_str().unwrap(), "/no/such/bundle", "/etc/passwd"] {
        let outcome = site.sandboxctl(&["run", path]);
        outcome.expect(126);
        assert!(outcome.stderr.starts_with("sandboxctl: failed to"), "{}", outcome.stderr);
    }
}

/// An error of ours, not of the extension.
#[test]
fn a_state_folder_that_cannot_be_made_is_125() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["true"]).build(&site);
    let mut command = site.prepare(sandboxctl_integration::site::binary());
    command.arg("run").env("SANDBOXCTL_STATE_DIR", "/proc/no/state");
    let outcome = site.start_command(command, &built, &[]).wait();
    outcome.expect(125);
    assert!(outcome.stderr.contains("/proc/no/state"), "{}", outcome.stderr);
}

/// Not root: nothing runs, and why is said.
#[test]
fn without_root_it_says_so() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["true"]).build(&site);
    let place = site.fresh_dir("nobody");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let binary = place.join("sandboxctl");
    fs::copy(sandboxctl_integration::site::binary(), &binary).unwrap();
    let mut command = site.prepare("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&binary);
    command.arg("run").arg(&built.path).env("SANDBOXCTL_STATE_DIR", place.join("state"));
    let output = command.env("SANDBOXCTL_RUN_DIR", place.join("run")).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("root"), "{stderr}");
}

#[test]
fn explain_shows_the_sandbox_and_starts_nothing() {
    require!();
    let site = Site::new();
    let built = Bundle::command(&["sh", "-c", "echo ran"]).limit("memory_mb", 77).build(&site);
    let path = built.path.to_str().unwrap();
    let text = site.sandboxctl(&["explain", path]).expect(0).stdout.clone();
    for part in [
        "/ext",
        "/etc/shadow",
        "77 MB",
        "SANDBOX_EXTENSION_ID",
        "cgroup",
        "landlock",
        "system calls",
    ] {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "no {part} in {text}");
    }
    let json = site.sandboxctl(&["explain", "--json", path]).expect(0).json();
    assert_eq!(json["plan"]["limits"]["memoryMb"], 77);
    assert_eq!(json["decision"]["verdict"], "allowed");
    assert!(!site.state().join("audit").exists(), "it left a record of a run");
}

#[test]
fn doctor_codes_and_tiers_have_json() {
    require!();
    let site = Site::new();
    let doctor = site.sandboxctl(&["doctor", "--json"]);
    assert!([0, 1].contains(&doctor.code()));
    assert!(!doctor.json().to_string().is_empty());
    let codes = site.sandboxctl(&["codes", "--json"]).expect(0).json();
    let known: Vec<&str> =
        codes.as_array().unwrap().iter().map(|line| line["code"].as_str().unwrap()).collect();
    for code in ["syscall-denied", "tripwire-touched", "memory-limit", "time-limit", "disk-limit"] {
        assert!(known.contains(&code), "{code}");
    }
    let tiers = site.sandboxctl(&["tiers", "--json"]).expect(0).json().to_string();
    for tier in ["community", "professional", "enterprise"] {
        assert!(tiers.contains(tier), "{tiers}");
    }
    assert!(site.sandboxctl(&["completions", "bash"]).expect(0).stdout.contains("sandboxctl"));
}

#[test]
fn ps_lists_what_runs() {
    require!();
    let site = Site::new();
    let built = Bundle::probe(&["signals"]).build(&site);
    let mut run = site.start(&built, &[]);
    run.wait_for("ready");
    let listed = |site: &Site| {
        let all = site.sandboxctl(&["ps", "--json"]).expect(0).json();
        all.as_array().unwrap().iter().any(|one| one["extensionId"] == built.id)
    };
    assert!(listed(&site));
    run.signal(Signal::SIGTERM);
    run.wait().expect(40);
    assert!(!listed(&site));
}

#[test]
fn a_new_extension_works_at_once() {
    require!(Need::Program("python3"), Need::Program("node"));
    let site = Site::new();
    for lang in ["python", "node", "shell", "rust"] {
        let dir = site.dir().join(format!("hello-{lang}"));
        let path = dir.to_str().unwrap();
        site.sandboxctl(&["init", path, "--lang", lang]).expect(0);
        let outcome = site.sandboxctl(&["run", "--report", "-", "-q", path]);
        outcome.expect(0);
        assert!(outcome.stdout.contains("\"violations\": []"), "{lang}: {}", outcome.stdout);
        // Never over what is there.
        assert_ne!(site.sandboxctl(&["init", path, "--lang", lang]).code(), 0);
    }
}
