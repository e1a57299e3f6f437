//! Live runs, seen and ended from outside.

use sandboxctl_integration::{Bundle, Site, require};

/// 40 MB, busy, until it is ended; says what signal came.
const BUSY: &str = r#"
import signal
def end(*_):
    print("asked", flush=True)
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
held = bytearray(os.urandom(1 << 20)) * 40
print("ready", flush=True)
while True: pass
"#;

#[test]
fn top_shows_what_live_runs_use_and_kill_ends_them() {
    require!();
    let site = Site::new();
    let bundle = Bundle::python(BUSY).build(&site);
    let mut run = site.start(&bundle, &[]);
    run.wait_for("ready");
    let top = site.sandboxctl(&["top", "--json"]);
    let rows = top.expect(0).json();
    let mine = |row: &&serde_json::Value| row["extensionId"] == bundle.id;
    let row = rows.as_array().unwrap().iter().find(mine).unwrap().clone();
    assert_eq!(row["supervisorPid"], run.pid());
    for (key, least) in [("memoryMb", 40.0), ("cpuPercentage", 0.1), ("tasks", 1.0)] {
        // Where this host cannot tell, it says so.
        assert!(row[key].is_null() || row[key].as_f64().unwrap() >= least, "{key}: {row:#}");
    }
    assert!(site.sandboxctl(&["top", "--once"]).expect(0).stdout.contains(&bundle.id));

    site.sandboxctl(&["kill", row["runId"].as_str().unwrap()]).expect(0);
    let outcome = run.wait();
    assert_eq!(outcome.expect(5).stdout, "ready\nasked\n");

    let mut run = site.start(&bundle, &[]);
    run.wait_for("ready");
    site.sandboxctl(&["kill", "--now", &bundle.id]).expect(0);
    let outcome = run.wait();
    outcome.expect(137);
    let nobody = site.sandboxctl(&["kill", &bundle.id]);
    assert!(nobody.expect(1).stderr.contains("no live run"), "{}", nobody.stderr);
}
