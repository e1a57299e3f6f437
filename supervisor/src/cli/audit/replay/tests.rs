//! The log as it is read, and what is concluded from it.

use super::*;

fn line(run: &str, kind: &str, ts: &str, data: &str) -> String {
    format!(
        r#"{{"seq":1,"ts":"{ts}","type":"{kind}","sev":"INFO","ext":"a.b","ver":"1.0.0","run":"{run}","actor":"uid:0","h":"00","data":{data}}}"#
    )
}

fn violation(run: &str, seq: u64, second: u64, first: u64, count: u64) -> String {
    let (ts, from) =
        (format!("2026-11-23T20:00:{second:02}Z"), format!("2026-11-23T20:00:{first:02}Z"));
    let data = format!(
        r#"{{"seq":{seq},"ts":"{ts}","firstTs":"{from}","code":"path-denied","severity":"WARNING","count":{count}}}"#
    );
    // The line itself is written when it is written.
    line(run, "violation", "2026-11-23T20:00:59Z", &data)
}

fn rules(lines: &str) -> ReactionRules {
    let text = format!("[[rule]]\nname = \"r\"\nreason = \"x\"\n{lines}");
    ReactionRules::parse("r.toml", text.as_bytes()).unwrap()
}

fn answer(name: &str, lines: &[String], rules: &ReactionRules) -> Answer {
    let dir = std::env::temp_dir().join(format!("sandboxctl-re-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let (first, second) = lines.split_at(lines.len() / 2);
    let header = r#"{"segment":1,"firstSeq":1,"created":"x","previous":null}"#;
    let text = |lines: &[String]| format!("{header}\n{}\n", lines.join("\n"));
    // The later segment has the earlier time in its name: the clock was set back.
    fs::write(dir.join("2026-11-24T00-000009.jsonl"), text(first)).unwrap();
    fs::write(dir.join("2026-11-23T00-000010.jsonl"), text(second)).unwrap();
    let answer = replay(&dir, rules, None).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    answer
}

fn decision(run: &str, tier: &str) -> String {
    line(run, "decision", "2026-11-23T20:00:00Z", &format!(r#"{{"tier":"{tier}"}}"#))
}

#[test]
fn counts_between_lines_are_taken_as_what_came_since() {
    let lines = [
        decision("r1", "community"),
        violation("r1", 1, 1, 1, 1),
        violation("r1", 1, 2, 1, 10),
        "torn".to_owned(),
        violation("r1", 1, 3, 1, 12),
    ];
    let answer = answer("counts", &lines, &rules("count = 12\nwindow_s = 9\naction = \"kill\""));
    assert_eq!((answer.runs, answer.ended, answer.unreadable), (1, 1, 1));
    let met = &answer.met[0].reactions[0];
    assert_eq!((met.offset_ms, met.reaction.count, met.approximate), (3000, 12, true));
}

#[test]
fn runs_are_apart_and_in_the_order_of_time_and_of_their_tier() {
    let lines = [
        decision("r1", "community"),
        decision("r2", "enterprise"),
        violation("r2", 1, 9, 9, 1),
        violation("r1", 1, 9, 9, 1),
        // A final count of an attempt that was earlier.
        violation("r1", 2, 1, 1, 1),
    ];
    let rules = rules("count = 2\nwindow_s = 5\naction = \"kill\"");
    assert_eq!(answer("apart", &lines, &rules).ended, 0);
    let tier = "tiers = [\"enterprise\"]\naction = \"warn\"";
    let answer = answer("tier", &lines, &self::rules(tier));
    assert_eq!((answer.runs, answer.warned), (2, 1));
    assert_eq!(answer.met[0].run_id, "r2");
    assert!(!answer.met[0].reactions[0].approximate);
}

#[test]
fn a_run_that_is_ended_goes_no_further() {
    let lines =
        [decision("r1", "community"), violation("r1", 1, 1, 1, 1), violation("r1", 2, 2, 2, 1)];
    let text = "[[rule]]\nname = \"all\"\naction = \"kill\"\nreason = \"x\"\n\
                [[rule]]\nname = \"two\"\ncount = 2\nwindow_s = 9\naction = \"warn\"\nreason = \"x\"\n";
    let rules = ReactionRules::parse("r.toml", text.as_bytes()).unwrap();
    let answer = answer("further", &lines, &rules);
    assert_eq!(answer.met[0].reactions.len(), 1);
}

#[test]
fn since_is_a_time_or_how_long_ago() {
    assert_eq!(since("2026-11-23T20:00:00Z").unwrap().to_string(), "2026-11-23T20:00:00Z");
    let day = since("1d").unwrap();
    let hours = since("24h").unwrap();
    assert!(day <= hours && hours < Timestamp::now());
    assert!(since("yesterday").is_err());
}
