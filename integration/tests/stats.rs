//! What each run used, kept after it.

use std::fs;

use sandboxctl_integration::{Bundle, Internet, Need, Site, require};

const ID: &str = "test.stats";

/// 30 MB of memory, 5 MB on /data, one violation, and an exit code.
fn bundle(code: u8) -> Bundle {
    let program = format!(
        "import ctypes\nheld = bytearray(os.urandom(1 << 20)) * 30\n\
         open(\"/data/x\", \"wb\").write(bytes(5 << 20))\n\
         ctypes.CDLL(None).unshare(0x10000000)\nsys.exit({code})"
    );
    Bundle::python(&program).id(ID)
}

#[test]
fn every_run_leaves_its_usage() {
    require!();
    let site = Site::new();
    site.sandboxctl(&["stats", ID]).expect(1);
    assert_eq!(site.sandboxctl(&["stats", "--json"]).expect(0).json(), serde_json::json!([]));
    let first = site.run(&bundle(0));
    first.expect(0);
    let second = site.run(&bundle(3));
    second.expect(3);
    site.run(&Bundle::probe(&["true"]).id("test.other")).expect(0);
    // A run that policy refused used nothing.
    site.run(&bundle(0).tier("professional")).expect(126);

    let stats = site.sandboxctl(&["stats", ID, "--json"]);
    let stats = stats.expect(0).json();
    assert_eq!((&stats["extensionId"], &stats["runs"]), (&ID.into(), &2.into()));
    let records = stats["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    for (record, outcome) in records.iter().zip([&first, &second]) {
        let report = outcome.report();
        assert_eq!(record["runId"], report["runId"]);
        assert_eq!(record["startedAt"], report["startedAt"]);
        assert_eq!(record["status"], "exited");
        assert_eq!(record["violations"], 1);
        let keys = [
            "memoryUsedMb",
            "memoryPeakMb",
            "cpuPercentage",
            "diskUsedMb",
            "networkBytesIn",
            "networkBytesOut",
            "executionTimeMs",
            "requestCount",
            "errorCount",
        ];
        for key in keys {
            assert!(record[key].is_number(), "{key}: {record:#}");
            assert_eq!(record[key], report["usage"][key], "{key}");
        }
        assert!(record["memoryPeakMb"].as_f64().unwrap() >= 30.0, "{record:#}");
        assert!(record["diskUsedMb"].as_f64().unwrap() >= 5.0, "{record:#}");
    }
    let peaks = records.iter().map(|run| run["memoryPeakMb"].as_f64().unwrap());
    let highest = peaks.fold(0.0, f64::max);
    assert_eq!(stats["percentiles"]["memoryPeakMb"]["max"], highest);
    assert_eq!(stats["totals"]["violations"], 2);

    let newest = site.sandboxctl(&["stats", ID, "--last", "1", "--json"]).json();
    assert_eq!(newest["records"].as_array().unwrap().len(), 1);
    assert_eq!(newest["records"][0]["runId"], second.report()["runId"]);
    let all = site.sandboxctl(&["stats", "--json"]).json();
    let ids: Vec<&str> =
        all.as_array().unwrap().iter().map(|one| one["extensionId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["test.other", ID]);
    assert_eq!(all[1]["runs"], 2);
    // Not a terminal: words and numbers only.
    let human = site.sandboxctl(&["stats", ID]);
    assert!(human.expect(0).stdout.contains("memory, MB"), "{}", human.stdout);
    assert!(!human.stdout.contains('\u{2588}'), "{}", human.stdout);
    assert!(site.sandboxctl(&["stats"]).expect(0).stdout.contains("test.other"));
}

/// A line that a crash cut off is skipped, and what follows it is not.
#[test]
fn a_torn_record_hides_no_other() {
    require!();
    let site = Site::new();
    let bundle = Bundle::probe(&["true"]).id(ID).build(&site);
    site.run_built(&bundle, &[]).expect(0);
    let file = site.state().join("usage").join(format!("{ID}.jsonl"));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], &whole[..whole.len() / 2]].concat()).unwrap();
    site.run_built(&bundle, &[]).expect(0);
    assert_eq!(site.sandboxctl(&["stats", ID, "--json"]).expect(0).json()["runs"], 2);
}

/// A place that cannot be written costs the record, loudly, and not the run.
#[test]
fn usage_that_cannot_be_kept_is_said() {
    require!();
    let site = Site::new();
    fs::create_dir_all(site.state()).unwrap();
    fs::write(site.state().join("usage"), "in the way").unwrap();
    let outcome = site.run(&Bundle::probe(&["true"]));
    assert!(
        outcome.expect(0).stderr.contains("usage of this run is not kept"),
        "{}",
        outcome.stderr
    );
}

/// What counts as a request is a connection that a rule names; what was refused or failed is an error.
#[test]
fn requests_and_errors_are_counted() {
    require!(Need::Internet, Need::Program("curl"));
    let site = Site::new();
    let internet = Internet::new(&site);
    let script = r"
curl -sS --max-time 20 -o /dev/null http://a.example.com:8080/ http://a.example.com:8080/again
curl -sS --max-time 20 -o /dev/null -H 'Host: b.example.com' http://a.example.com:8080/
curl -sS --max-time 20 -o /dev/null http://not-allowed.example.com:8080/
exit 0
";
    let bundle = Bundle::shell(script)
        .permission("EXTERNAL_API_CALLS")
        .manifest("[network]\nallow = [\"a.example.com:8080\"]\n")
        .id(ID);
    let outcome = internet.run(&site, &bundle);
    outcome.expect(0);
    let record = &site.sandboxctl(&["stats", ID, "--json"]).expect(0).json()["records"][0];
    // Two requests over one connection are one, and a name that is refused is never connected to.
    assert_eq!(
        (&record["requestCount"], &record["errorCount"]),
        (&2.into(), &1.into()),
        "{record:#}"
    );
    assert!(record["networkBytesIn"].as_u64().unwrap() > 100, "{record:#}");
}
