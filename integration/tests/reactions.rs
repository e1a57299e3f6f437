//! What follows from violations: warnings, runs that are ended, extensions that are switched off.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;

use sandboxctl_integration::{Bundle, Need, Site, require};
use serde_json::Value;

/// Puts rules into the place of the built-in ones.
fn rules(site: &Site, text: &str) {
    let dir = site.config().join("policies");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("reactions.toml"), text).unwrap();
}

fn rule(name: &str, lines: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nreason = \"a test\"\n{lines}\n")
}

/// The audit events of a type.
fn events(site: &Site, kind: &str) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(site.state().join("audit"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|event| event["type"] == kind).collect()
}

/// One call that a rule kills for, and then words that nobody may ever read. `os.write` is unbuffered.
const TOUCH: &str = r#"
import ctypes
os.write(1, b"before\n")
ctypes.CDLL(None).unshare(0x10000000)
os.write(1, b"AFTER\n")
open("/data/after", "w").close()
"#;

/// The denied call is never answered, so its thread never gets to the next statement, however often it is tried.
#[test]
fn a_kill_comes_before_the_denied_call_returns() {
    require!();
    let site = Site::new();
    rules(&site, &rule("escape", "codes = [\"namespace-attempt\"]\naction = \"kill\""));
    let bundle = Bundle::python(TOUCH).build(&site);
    for _ in 0..10 {
        let outcome = site.run_built(&bundle, &[]);
        outcome.expect(137);
        assert_eq!(outcome.stdout, "before\n");
        let result = &outcome.report()["result"];
        assert_eq!(result["status"], "reaction", "{result:#}");
        assert_eq!(result["signal"], 9);
        assert_eq!(result["reaction"]["rule"], "escape");
        assert_eq!(result["reaction"]["code"], "namespace-attempt");
        assert_eq!(result["reaction"]["count"], 1);
        let [reaction] = outcome.report()["reactions"].as_array().unwrap().as_slice() else {
            panic!("{}", outcome.report()["reactions"]);
        };
        assert_eq!(reaction["effect"], "ended");
        assert_eq!(outcome.recorded("namespace-attempt", "name", "unshare")["count"], 1);
        assert_eq!(outcome.report()["recording"]["seccomp"]["status"], "complete");
        assert!(outcome.stderr.contains("reaction: kill: rule escape"), "{}", outcome.stderr);
    }
    let recorded = events(&site, "reaction");
    assert_eq!(recorded.len(), 10);
    assert_eq!(recorded[0]["data"]["rule"], "escape");
    assert_eq!(recorded[0]["data"]["effect"], "ended");
    assert_eq!(recorded[0]["sev"], "CRITICAL");
    let end = events(&site, "run.end");
    assert_eq!(end[0]["data"]["result"]["status"], "reaction");
}

/// Threads that are refused at the same time: those whose calls wait when one of them meets the rule get no answer either.
#[test]
fn no_thread_gets_an_answer_after_the_rule_was_met() {
    require!();
    let site = Site::new();
    rules(
        &site,
        &rule(
            "many",
            "codes = [\"namespace-attempt\"]\ncount = 20\nwindow_s = 60\naction = \"kill\"",
        ),
    );
    let outcome = site.run(&Bundle::python(
        r#"
import ctypes, threading
libc = ctypes.CDLL(None)
def work():
    for _ in range(1000):
        libc.unshare(0x10000000)
        os.write(1, b".")
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"#,
    ));
    outcome.expect(137);
    // 19 calls were answered at most.
    assert!(outcome.stdout.len() <= 19, "{} answers", outcome.stdout.len());
    let count = outcome.recorded("namespace-attempt", "name", "unshare")["count"].as_u64().unwrap();
    assert!((20..=20 + 8).contains(&count), "{count}");
    let reaction = &outcome.report()["result"]["reaction"];
    assert_eq!((&reaction["count"], &reaction["threshold"]), (&20.into(), &20.into()));
}

/// The kernel's records of path denials come after the denial: the run is ended, or condemned if it was quicker.
#[test]
fn a_tripwire_condemns_a_run_whether_or_not_it_was_quicker() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    rules(&site, &rule("tripwire", "codes = [\"tripwire-touched\"]\naction = \"kill\""));
    let quick = Bundle::python("attempt(lambda: open(\"/etc/shadow\"))").build(&site);
    for _ in 0..5 {
        let outcome = site.run_built(&quick, &[]);
        outcome.expect(137);
        assert_eq!(outcome.report()["result"]["status"], "reaction");
        let result = &outcome.report()["result"];
        let (code, signal) = (&result["exitCode"], &result["signal"]);
        assert!((*code == 0 && signal.is_null()) || (code.is_null() && *signal == 9), "{result:#}");
    }
    let slow =
        "attempt(lambda: open(\"/etc/shadow\"))\nimport time\ntime.sleep(20)\nprint(\"AFTER\")";
    let outcome = site.run(&Bundle::python(slow));
    outcome.expect(137);
    assert_eq!(outcome.stdout, "");
    assert_eq!(outcome.report()["reactions"][0]["effect"], "ended");
    assert_eq!(outcome.report()["result"]["signal"], 9);
}

#[test]
fn a_disabled_extension_stays_off_until_it_is_cleared() {
    require!();
    let site = Site::new();
    rules(&site, &rule("escape", "codes = [\"namespace-attempt\"]\naction = \"disable\""));
    let bundle = Bundle::python(TOUCH).build(&site);
    let outcome = site.run_built(&bundle, &[]);
    outcome.expect(137);
    assert_eq!(outcome.report()["reactions"][0]["disabled"], true);
    for more in [&[][..], &["--dev"]] {
        let refused = site.run_built(&bundle, more);
        assert!(refused.expect(126).stderr.contains("extension-disabled"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    let path = bundle.path.to_str().unwrap();
    site.sandboxctl(&["check", path]).expect(126);
    // Another extension is not concerned.
    site.run(&Bundle::probe(&["true"])).expect(0);
    let list = site.sandboxctl(&["reactions", "list", "--json"]);
    let list = list.expect(0).json();
    assert_eq!(list["disabled"][0]["extensionId"], bundle.id);
    assert_eq!(list["disabled"][0]["rule"], "escape");
    assert_eq!(list["disabled"][0]["runId"], outcome.report()["runId"]);
    site.sandboxctl(&["reactions", "clear", &bundle.id]).expect(0);
    site.sandboxctl(&["check", path]).expect(0);
    site.sandboxctl(&["reactions", "clear", &bundle.id]).expect(1);
    let recorded = events(&site, "reaction");
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded[0]["data"]["disabled"], true);
    assert_eq!(recorded[1]["data"]["cleared"]["runId"], outcome.report()["runId"]);
    assert_eq!(recorded[1]["ext"], bundle.id);
}

#[test]
fn warnings_are_said_and_recorded_and_end_nothing() {
    require!();
    let site = Site::new();
    let text =
        rule("twice", "severity = \"CRITICAL\"\ncount = 2\nwindow_s = 600\naction = \"warn\"")
            + &rule("not-for-community", "tiers = [\"enterprise\"]\naction = \"kill\"");
    rules(&site, &text);
    let program = "import ctypes\nfor _ in range(5): ctypes.CDLL(None).unshare(0x10000000)\n";
    let bundle = Bundle::python(program).build(&site);
    let outcome = site.run_built(&bundle, &[]);
    outcome.expect(0);
    assert_eq!(outcome.report()["result"]["status"], "exited");
    assert_eq!(outcome.report()["result"]["reaction"], Value::Null);
    let reactions = outcome.report()["reactions"].as_array().unwrap();
    assert_eq!(reactions.len(), 1, "{reactions:#?}");
    assert_eq!(reactions[0]["effect"], "warned");
    assert_eq!(reactions[0]["count"], 2);
    assert!(outcome.stderr.contains("rule twice"), "{}", outcome.stderr);
    assert_eq!(events(&site, "reaction").len(), 1);
    let quiet = site.run_built(&bundle, &["--quiet"]);
    assert_eq!(quiet.expect(0).stderr, "");
    assert_eq!(events(&site, "reaction").len(), 2);
}

/// A limit that ended the run first stays its end; the rule has something to say about later runs only.
#[test]
fn the_first_decision_stands() {
    require!();
    let site = Site::new();
    rules(&site, &rule("slow", "codes = [\"time-limit\"]\naction = \"disable\""));
    let bundle = Bundle::shell("sleep 30").limit("timeout_ms", 500).build(&site);
    let outcome = site.run_built(&bundle, &[]);
    outcome.expect(124).ended("limit", Some("timeout"));
    assert_eq!(outcome.report()["reactions"][0]["effect"], "late");
    assert_eq!(outcome.report()["reactions"][0]["disabled"], true);
    site.run_built(&bundle, &[]).expect(126);
}

/// A full disk is recorded when the run is over: a rule that would end it condemns it, and says how it had ended.
#[test]
fn what_is_known_only_after_the_end_condemns_the_run() {
    require!();
    let site = Site::new();
    rules(&site, &rule("full", "layers = [\"limit\"]\naction = \"kill\""));
    let outcome = site.run(&Bundle::probe(&["fill", "/data"]).limit("disk_mb", 10));
    outcome.expect(137);
    let result = &outcome.report()["result"];
    assert_eq!((&result["status"], &result["exitCode"]), (&"reaction".into(), &0.into()));
    assert_eq!(
        (&result["signal"], &result["reaction"]["code"]),
        (&Value::Null, &"disk-limit".into())
    );
    assert!(result["reason"].as_str().unwrap().starts_with("condemned by rule full"), "{result:#}");
    assert_eq!(outcome.report()["reactions"][0]["effect"], "late");
    assert_eq!(events(&site, "reaction").len(), 1);
}

/// What well-behaved programs do sets nothing off, and what the curious do is only said.
#[test]
fn the_defaults_end_nothing() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let good = site.run(&Bundle::python("print(sum(range(10)))"));
    good.expect(0);
    assert_eq!(good.report()["reactions"].as_array().unwrap().len(), 0);
    let curious = site.run(&Bundle::python(
        "import ctypes\nattempt(lambda: open(\"/etc/shadow\"))\n\
         for _ in range(200): ctypes.CDLL(None).unshare(0x10000000)\n",
    ));
    curious.expect(0);
    let reactions = curious.report()["reactions"].as_array().unwrap();
    let met: Vec<&str> = reactions.iter().map(|one| one["rule"].as_str().unwrap()).collect();
    for name in ["tripwire", "attack", "probing"] {
        assert!(met.contains(&name), "{met:?}");
    }
    assert!(reactions.iter().all(|one| one["effect"] == "warned"), "{reactions:#?}");
}

#[test]
fn mistakes_in_rules_are_refused_with_their_place() {
    require!();
    let site = Site::new();
    rules(&site, &rule("r", "codes = [\"tripwire-touhced\"]\ncuont = 2\naction = \"explode\""));
    let bundle = Bundle::probe(&["true"]).build(&site);
    let outcome = site.run_built(&bundle, &[]);
    outcome.expect(125);
    for part in [
        "reactions.toml:4:10: error[unknown-value]: there is no code \"tripwire-touhced\"",
        "did you mean tripwire-touched?",
        "reactions.toml:5:1: error[unknown-key]",
        "did you mean `count`?",
        "reactions.toml:6:10: error[unknown-value]",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}

#[test]
fn explain_shows_the_rules_of_the_tier() {
    require!();
    let site = Site::new();
    let text = rule("ours", "action = \"warn\"")
        + &rule("theirs", "tiers = [\"enterprise\"]\naction = \"kill\"");
    rules(&site, &text);
    let bundle = Bundle::probe(&["true"]).build(&site);
    let path = bundle.path.to_str().unwrap();
    let explained = site.sandboxctl(&["explain", path, "--json"]);
    let names: Vec<Value> = explained.expect(0).json()["reactions"].as_array().unwrap().clone();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["name"], "ours");
    assert!(site.sandboxctl(&["explain", path]).expect(0).stdout.contains("ours"));
}

/// Rules that were not there at the time, held against what happened.
#[test]
fn a_replay_says_what_rules_would_have_done() {
    require!();
    let site = Site::new();
    rules(&site, "");
    let replay = |more: &[&str]| {
        let mut arguments = vec!["audit", "replay", "--json"];
        arguments.extend(more);
        let outcome = site.sandboxctl(&arguments);
        outcome.expect(0).json()
    };
    assert_eq!(replay(&[])["runs"], 0);
    // The pause tells the first from the others: folded attempts have the time of the last one.
    let program = "import ctypes, time\nfor n in range(25):\n    ctypes.CDLL(None).unshare(0x10000000)\n    n or time.sleep(0.05)\n";
    let bundle = Bundle::python(program).build(&site);
    let bad = site.run_built(&bundle, &[]);
    bad.expect(0);
    assert_eq!(bad.report()["reactions"].as_array().unwrap().len(), 0);
    site.run(&Bundle::probe(&["true"])).expect(0);
    let nothing = replay(&[]);
    assert_eq!((&nothing["runs"], &nothing["ended"]), (&2.into(), &0.into()));

    let file = site.dir().join("try.toml");
    let text = rule("at-once", "codes = [\"namespace-attempt\"]\naction = \"warn\"")
        + &rule("many", "severity = \"CRITICAL\"\ncount = 25\nwindow_s = 600\naction = \"kill\"")
        + &rule("more", "severity = \"CRITICAL\"\ncount = 26\nwindow_s = 600\naction = \"kill\"");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let tried = replay(&["--rules", file]);
    assert_eq!((&tried["runs"], &tried["ended"]), (&2.into(), &1.into()), "{tried:#}");
    let met = &tried["met"][0];
    assert_eq!(met["runId"], bad.report()["runId"]);
    assert_eq!(met["extensionId"], bundle.id);
    let reactions = met["reactions"].as_array().unwrap();
    let found: Vec<(&str, u64, bool)> = reactions
        .iter()
        .map(|one| {
            let (rule, count) = (one["rule"].as_str().unwrap(), one["count"].as_u64().unwrap());
            (rule, count, one["approximate"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(found, [("at-once", 1, false), ("many", 25, true)]);
    // Nothing has changed by it.
    assert!(events(&site, "reaction").is_empty());
    site.run_built(&bundle, &[]).expect(0);
    assert_eq!(replay(&["--rules", file, "--since", "2099-01-01T00:00:00Z"])["runs"], 0);
    assert_eq!(replay(&["--rules", file, "--since", "1h"])["runs"], 3);
    let human = site.sandboxctl(&["audit", "replay", "--rules", file]);
    assert!(human.expect(0).stdout.contains("rule many"), "{}", human.stdout);
    site.sandboxctl(&["audit", "replay", "--since", "soon"]).expect(1);
}
