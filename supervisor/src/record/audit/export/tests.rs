//! Every form of export, by the letter.

use std::collections::BTreeSet;

use policies::violation::{Action, Code, Object, Process, Severity, Violation};
use serde_json::{Value, json};

use super::*;

fn violation(code: Code, object: Object) -> Violation {
    Violation {
        seq: 3,
        ts: "2026-11-23T20:00:01.000000Z".to_owned(),
        first_ts: "2026-11-23T20:00:00.000000Z".to_owned(),
        layer: code.layer(),
        code,
        severity: code.severity(),
        action: Action::Denied,
        rule: "a|b=c\\d".to_owned(),
        object,
        args: vec!["0x1".to_owned()],
        arguments: Vec::new(),
        process: Process {
            pid: Some(7),
            comm: Some("x=\n|".to_owned()),
            uid: Some(100_000),
            exe: None,
        },
        count: 12,
    }
}

fn objects() -> Vec<(Code, Object)> {
    let text = str::to_owned;
    let endpoint = |address: &str| Object::Endpoint {
        host: text("api.example.com"),
        address: text(address),
        port: 443,
        protocol: text("tcp"),
        detail: text("d"),
    };
    vec![
        (Code::PathDenied, Object::Path { path: text("/a=b\\c\n|"), access: text("fs.read_file") }),
        (Code::PortDenied, Object::Port { port: 80, access: text("net.bind_tcp") }),
        (Code::ScopeDenied, Object::Scope { access: text("scope.signal"), name: String::new() }),
        (Code::NameRefused, Object::Name { name: text("evil.example") }),
        (Code::AddressRefused, endpoint("203.0.113.7")),
        (Code::AddressRefused, endpoint("2001:db8::1")),
        (
            Code::MountAttempt,
            Object::Syscall {
                name: text("mount"),
                nr: 165,
                arch: text("x86_64"),
                detail: text(""),
            },
        ),
        (
            Code::MemoryLimit,
            Object::Limit { kind: policies::limits::LimitKind::Memory, value: text("256 MB") },
        ),
    ]
}

fn line(kind: &str, severity: Severity, data: &Value) -> String {
    let (kind, severity) = (json!(kind), json!(severity));
    format!(
        r#"{{"seq":5,"ts":"2026-11-23T20:00:00.000001Z","type":{kind},"sev":{severity},"ext":"acme.x","ver":"1.0.0","run":"r1","actor":"uid:0","data":{data},"h":"{}"}}"#,
        "0".repeat(64)
    )
}

fn exported(format: Format, line: &str) -> String {
    render(format, line, &Record::parse(line.as_bytes()).expect("event"))
}

/// Splits where nothing escapes.
fn unescaped(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let last = parts.last_mut().expect("one");
        match c {
            '\\' => match chars.next().expect("something is escaped") {
                'n' => last.push('\n'),
                'r' => last.push('\r'),
                c => last.push(c),
            },
            c if c == at => parts.push(String::new()),
            c => last.push(c),
        }
    }
    parts
}

#[test]
fn cef_escapes_header_and_extension() {
    // Of the dictionary of the Common Event Format.
    let known: BTreeSet<&str> = [
        "rt",
        "externalId",
        "cat",
        "suser",
        "cs1",
        "cs1Label",
        "cs2",
        "cs2Label",
        "cs3",
        "cs3Label",
        "cs4",
        "cs4Label",
        "cs5",
        "cs5Label",
        "cs6",
        "cs6Label",
        "cnt",
        "act",
        "outcome",
        "spid",
        "sproc",
        "suid",
        "filePath",
        "reason",
        "dpt",
        "dhost",
        "dst",
        "c6a3",
        "c6a3Label",
        "proto",
        "msg",
    ]
    .into();
    for (code, object) in objects() {
        let data = serde_json::to_value(violation(code, object)).expect("JSON");
        let text = exported(Format::Cef, &line("violation", code.severity(), &data));
        assert!(!text.contains(['\n', '\r']), "{text}");
        let parts: Vec<&str> = text.splitn(8, '|').collect();
        assert_eq!(parts[..3], ["CEF:0", "sandboxctl", "sandboxctl"]);
        assert_eq!((parts[4], parts[5]), (code.text(), code.words()));
        // Every `=` that is not escaped ends a key, which is the word in front of it.
        let values = unescaped(parts[7], '=');
        let keys: Vec<&str> = values[..values.len() - 1]
            .iter()
            .map(|part| part.rsplit(' ').next().unwrap())
            .collect();
        assert!(keys.iter().all(|key| known.contains(key)), "{keys:?}");
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        let value = |key: &str| {
            let at = keys.iter().position(|found| *found == key)?;
            let next = keys.get(at + 1).map_or(0, |next| next.len() + 1);
            Some(values[at + 1][..values[at + 1].len() - next].to_owned())
        };
        assert_eq!(value("cs5").as_deref(), Some("a|b=c\\d"));
        assert_eq!(value("sproc").as_deref(), Some("x=\n|"));
        assert_eq!(value("cnt").as_deref(), Some("12"));
        assert_eq!(value("rt").as_deref(), Some("1795464000000"));
        if code == Code::PathDenied {
            assert_eq!(value("filePath").as_deref(), Some("/a=b\\c\n|"));
        }
        assert_eq!(value("dst").is_some() || value("c6a3").is_some(), code == Code::AddressRefused);
    }
    // A type with a bar would move the fields of the header.
    let text = exported(Format::Cef, &line("a|b\\c", Severity::Info, &json!({})));
    assert!(text.contains("|a\\|b\\\\c|a\\|b\\\\c|2|"), "{text}");
}

#[test]
fn ocsf_has_what_each_class_requires_and_nothing_unknown() {
    let base = [
        "activity_id",
        "activity_name",
        "category_uid",
        "category_name",
        "class_uid",
        "class_name",
        "type_uid",
        "severity_id",
        "severity",
        "time",
        "message",
        "metadata",
        "raw_data",
        "unmapped",
        "status_id",
        "status",
        "status_detail",
        "count",
        "start_time",
        "end_time",
    ];
    // The attributes of each class beyond these; those in front of the bar are required.
    let classes: &[(u64, &[&str], &[&str])] = &[
        (0, &[], &[]),
        (1008, &[], &["log_name", "log_provider", "actor"]),
        (2003, &["compliance", "finding_info"], &["resources"]),
        (
            2004,
            &["finding_info"],
            &[
                "resources",
                "evidences",
                "is_alert",
                "action",
                "action_id",
                "disposition",
                "disposition_id",
            ],
        ),
        (6002, &["app"], &[]),
        (6008, &[], &[]),
    ];
    let decision =
        json!({ "tier": "community", "verdict": "refused", "violated": [{ "code": "x" }] });
    let mut lines: Vec<(u64, u64, String)> = [
        ("decision", decision, 2003, 1),
        ("run.start", json!({ "command": ["a"] }), 6002, 3),
        ("run.end", json!({ "result": { "status": "failed", "reason": "r" } }), 6002, 4),
        ("registration", json!({}), 6002, 1),
        ("extension.disabled", json!({}), 6002, 7),
        ("error", json!({ "error": "e" }), 6008, 1),
        ("audit.pruned", json!({}), 1008, 2),
        ("audit.torn", json!({}), 1008, 99),
        ("review", json!({}), 0, 99),
    ]
    .into_iter()
    .map(|(kind, data, class, activity)| (class, activity, line(kind, Severity::Info, &data)))
    .collect();
    for (code, object) in objects() {
        let data = serde_json::to_value(violation(code, object)).expect("JSON");
        lines.push((2004, 1, line("violation", code.severity(), &data)));
    }
    for (class, activity, line) in lines {
        let event: Value = serde_json::from_str(&exported(Format::Ocsf, &line)).expect("JSON");
        let (_, required, more) = classes.iter().find(|known| known.0 == class).expect("known");
        assert_eq!(event["class_uid"], class, "{line}");
        assert_eq!(event["type_uid"], class * 100 + activity);
        assert_eq!(event["category_uid"], class / 1000);
        for key in event.as_object().expect("object").keys() {
            let is_known = base.contains(&key.as_str())
                || required.contains(&key.as_str())
                || more.contains(&key.as_str());
            assert!(is_known, "{key} is no attribute of {class}");
        }
        for key in
            required.iter().chain(&["activity_id", "severity_id", "time", "metadata", "type_uid"])
        {
            assert!(event.get(*key).is_some(), "{class} lacks {key}");
        }
        assert_eq!(event["raw_data"], line);
        assert_eq!(event["time"], 1_795_464_000_000_u64);
        assert_eq!(event["metadata"]["version"], "1.8.0");
        assert_eq!(event["metadata"]["product"]["vendor_name"], "sandboxctl");
        if class == 2004 {
            assert_eq!(event["metadata"]["profiles"], json!(["security_control"]));
            assert!(
                event["finding_info"]["uid"].is_string()
                    && event["finding_info"]["title"].is_string()
            );
            assert_eq!((&event["action_id"], &event["disposition_id"]), (&json!(2), &json!(2)));
        }
        if class == 2003 {
            assert_eq!(event["compliance"]["status_id"], 3);
            assert!(event["compliance"]["standards"].is_array());
        }
    }
}

#[test]
fn jsonl_is_the_line() {
    let line = line("violation", Severity::Info, &json!({}));
    assert_eq!(exported(Format::Jsonl, &line), line);
}

#[test]
fn other_events_are_told_in_pairs() {
    let words_of = |kind: &str, data: serde_json::Value| {
        let line = line(kind, Severity::Info, &data);
        words(&Record::parse(line.as_bytes()).unwrap())
    };
    let data = json!({ "act": "add", "entry": { "what": "publisher", "id": "acme", "cert": ["a.pem", "b.pem"],
        "key": [], "note": null, "reason": "a \"b\" c", "replaceKeys": false } });
    assert_eq!(
        words_of("trust.changed", data),
        "act=add entry.cert=a.pem,b.pem entry.id=acme entry.reason=\"a \\\"b\\\" c\" entry.replaceKeys=false \
         entry.what=publisher"
    );
    let data = json!({ "failures": [{ "code": "certificate-revoked" }, { "code": "crl-stale" }] });
    assert_eq!(words_of("signature.failed", data), "certificate-revoked, crl-stale");
    let data = json!({ "failures": [], "signer": { "subject": "CN=acme" } });
    assert_eq!(words_of("signature.verified", data), "CN=acme");
}

/// What a table shows of an event is words, not its JSON.
#[test]
fn words_for_people() {
    let reaction = json!({
        "ts": "2026-11-25T02:39:04.000000Z", "rule": "attack", "action": "warn", "code": "mount-attempt",
        "count": 10, "threshold": 10, "windowS": 60, "reason": "r", "effect": "warned", "disabled": false,
    });
    let failed = json!({ "detail": "it has no checkpoint" });
    let sealed = json!({ "segment": "a.jsonl", "lastSeq": 9 });
    let lost = json!({ "sent": 0, "lost": 3, "reason": "refused" });
    for (kind, data, want) in [
        ("reaction", &reaction, "warn: rule attack: 10 violations within 60 s, mount-attempt last"),
        ("audit.prune-failed", &failed, "it has no checkpoint"),
        ("audit.seal-failed", &failed, "it has no checkpoint"),
        ("audit.sealed", &sealed, "a.jsonl up to event 9"),
        ("audit.pruned", &json!({ "fromSeq": 1, "throughSeq": 9 }), "events 1 to 9"),
        ("audit.forward-lost", &lost, "3 events: refused"),
    ] {
        let line = line(kind, Severity::Info, data);
        assert_eq!(words(&Record::parse(line.as_bytes()).expect("record")), want);
    }
}
