//! Resource limits of each process, as the kernel shows them inside.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;

use sandboxctl_integration::{Bundle, Site, require};
use serde_json::json;

/// Soft and hard limit by the kernel's name.
fn limits(site: &Site, bundle: &Bundle) -> BTreeMap<String, (String, String)> {
    let outcome = site.run(bundle);
    outcome.expect(0);
    let lines = outcome.stdout.lines().skip(1);
    lines
        .map(|line| {
            let (name, values) = line.split_at(26);
            let mut values = values.split_whitespace().map(str::to_owned);
            (name.trim().to_owned(), (values.next().unwrap(), values.next().unwrap()))
        })
        .collect()
}

#[test]
fn they_are_the_tiers_soft_and_hard() {
    require!();
    let limits = limits(&Site::new(), &Bundle::command(&["cat", "/proc/self/limits"]));
    for (name, value) in [
        ("Max open files", "256"),
        ("Max file size", "104857600"),
        ("Max core file size", "0"),
        ("Max locked memory", "65536"),
        ("Max stack size", "8388608"),
        ("Max msgqueue size", "0"),
        ("Max nice priority", "0"),
        ("Max realtime priority", "0"),
    ] {
        assert_eq!(limits[name], (value.to_owned(), value.to_owned()), "{name}");
    }
    // A little above where a control group holds the number: its refusals are counted, those of this limit are not.
    let tasks: u32 = limits["Max processes"].1.parse().unwrap();
    assert!((64..=80).contains(&tasks), "{tasks}");
    assert_ne!(limits["Max data size"].1, "unlimited");
}

#[test]
fn a_manifest_can_lower_them() {
    require!();
    let bundle = Bundle::command(&["cat", "/proc/self/limits"])
        .limit("tasks", 7)
        .limit("open_files", 33)
        .limit("file_mb", 2);
    let limits = limits(&Site::new(), &bundle);
    let tasks: u32 = limits["Max processes"].1.parse().unwrap();
    assert!((7..=23).contains(&tasks), "{tasks}");
    assert_eq!(limits["Max open files"].1, "33");
    assert_eq!(limits["Max file size"].1, "2097152");
}

#[test]
fn they_hold_and_cannot_be_raised() {
    require!();
    let bundle = Bundle::python(
        r#"
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def files():
    held = [open("/dev/null") for _ in range(100)]
def big():
    with open("/tmp/big", "wb") as file:
        for _ in range(3): file.write(b"x" * (1 << 20)); file.flush()
def raised():
    try: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
    except ValueError: raise PermissionError(errno.EPERM, "")
print(json.dumps({"few": attempt(lambda: [open("/dev/null") for _ in range(10)]), "files": attempt(files),
                  "big": attempt(big), "raised": attempt(raised)}))
"#,
    )
    .limit("open_files", 40)
    .limit("file_mb", 2);
    let site = Site::new();
    let seen = site.run(&bundle).expect(0).json();
    assert_eq!(seen, json!({"few": "ok", "files": "EMFILE", "big": "EFBIG", "raised": "EPERM"}));
}
