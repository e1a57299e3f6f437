//! The report's keys and its text for people.

use std::path::Path;

use policies::violation::{Action, Code, Object, Process};
use serde_json::Value;

use super::*;
use crate::egress::resolver::DnsReport;
use crate::egress::traffic::DomainTraffic;
use crate::report::human::render;
use crate::report::style::Style;

fn violation(seq: u64, code: Code, object: Object, count: u64) -> Violation {
    Violation {
        seq,
        ts: "2026-11-23T20:00:01.000000Z".to_owned(),
        first_ts: "2026-11-23T20:00:00.000000Z".to_owned(),
        layer: code.layer(),
        code,
        severity: code.severity(),
        action: Action::Denied,
        rule: "test".to_owned(),
        object,
        args: Vec::new(),
        arguments: Vec::new(),
        process: Process {
            pid: Some(12),
            comm: Some("py\x1b[2Jthon3".to_owned()),
            exe: Some("/usr/bin/python3.11".to_owned()),
            uid: Some(1_879_048_193),
        },
        count,
    }
}

fn violations() -> Vec<Violation> {
    let syscall = |name: &str, nr, detail: &str| Object::Syscall {
        name: name.to_owned(),
        nr,
        arch: "x86_64".to_owned(),
        detail: detail.to_owned(),
    };
    let path = |path: &str, access: &str| Object::Path {
        path: path.to_owned(),
        access: access.to_owned(),
    };
    vec![
        violation(1, Code::SyscallProbe, syscall("io_uring_setup", 425, ""), 1),
        violation(2, Code::PathDenied, path("/etc/\n\x1b]0;x", "fs.read_file"), 200_000),
        violation(3, Code::NamespaceAttempt, syscall("unshare", 272, "CLONE_NEWUSER"), 2),
        violation(4, Code::TripwireTouched, path("/root/.ssh", "fs.read_dir"), 1),
    ]
}

fn report() -> Report {
    let limit = |kind, limit, unit: &str, used, enforcement, hits| LimitReport {
        kind,
        limit,
        unit: unit.to_owned(),
        used,
        mechanism: "cgroup v1".to_owned(),
        enforcement,
        hits,
    };
    let violations = violations();
    Report {
        schema_version: SCHEMA_VERSION,
        run_id: "r-1".to_owned(),
        extension: Extension {
            id: "acme.nosy".to_owned(),
            name: "Nosy".to_owned(),
            version: "1.0.0".to_owned(),
            publisher: "acme".to_owned(),
        },
        tier: "community".to_owned(),
        dev: true,
        isolation: Isolation::Full,
        started_at: "2026-11-23T20:00:00.000000Z".to_owned(),
        ended_at: "2026-11-23T20:00:01.000000Z".to_owned(),
        result: RunResult::limited(LimitKind::Memory, "256 MB", Some(9)),
        usage: Usage {
            memory_peak_mb: 256.0,
            cpu_percentage: 6.2,
            execution_time_ms: 1300,
            network_bytes_in: 1536,
            network_bytes_out: 20,
            source: UsageSource::Kernel,
            ..Usage::default()
        },
        limits: vec![
            limit(LimitKind::Memory, 256, "MB", 256.0, Enforcement::Kernel, 1),
            limit(LimitKind::Cpu, 25, "%", 6.2, Enforcement::Guard, 0),
            limit(LimitKind::Disk, 100, "MB", 0.0, Enforcement::Kernel, 0),
            limit(LimitKind::Timeout, 30_000, "ms", 1300.0, Enforcement::Kernel, 0),
            limit(LimitKind::Tasks, 64, "tasks", 64.0, Enforcement::Kernel, 12),
        ],
        network: Network {
            mode: NetworkMode::Domains,
            domains: vec![DomainTraffic {
                domain: "api.example.com".to_owned(),
                port: 443,
                connections: 2,
                refused: 1,
                failed: 0,
                bytes_in: 1536,
                bytes_out: 20,
            }],
            dns: Some(DnsReport::default()),
            refused_packets: 100,
            recorded_packets: 3,
        },
        layers: vec![LayerReport {
            layer: "landlock".to_owned(),
            enforcement: Enforcement::Kernel,
            detail: "ABI 7".to_owned(),
        }],
        recording: Recording {
            seccomp: RecordingOf::complete(3),
            landlock: RecordingOf::from(&Reconciled {
                coverage: Coverage::Recorded,
                recorded: 200_001,
                kernel_total: Some(200_011),
                lost: 10,
                drained: true,
                overruns: 0,
                dropped: None,
                processes: None,
            }),
            landlock_processes: None,
            egress: RecordingOf::complete(4),
            audit_log: LogRecording { written: 4, ..LogRecording::default() },
            forward: None,
            failed_writes: 0,
        },
        violation_totals: ViolationTotals::of(&violations),
        violations,
        reactions: Vec::new(),
        series: Series { interval_ms: 100, points: vec![Point::default()] },
    }
}

/// Compares with a file that is checked in; `SANDBOXCTL_BLESS=1` writes it.
fn assert_checked_in(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("SANDBOXCTL_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).expect("failed to write");
    }
    let kept = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    assert!(
        kept == text,
        "{} is out of date: look at the change, then run this with SANDBOXCTL_BLESS=1\n{text}",
        path.display()
    );
}

#[test]
fn schemas_are_checked_in() {
    let pretty = |schema: &schemars::Schema| {
        let mut text = serde_json::to_string_pretty(schema).expect("JSON");
        text.push('\n');
        text
    };
    assert_checked_in("report.schema.json", &pretty(&schemars::schema_for!(Report)));
    assert_checked_in("violation.schema.json", &pretty(&schemars::schema_for!(Violation)));
}

#[test]
fn people_read_this() {
    let text = render(&report(), Style::plain());
    assert_checked_in("src/report/snapshots/human.txt", &text);
    assert!(!text.contains('\x1b'), "something reached the terminal");
    assert!(text.lines().all(|line| line.chars().count() <= Style::plain().width));
}

#[test]
fn colours_are_balanced_and_optional() {
    let style = Style { color: true, ..Style::plain() };
    let text = render(&report(), style);
    assert!(text.contains("\x1b[1;31mCRITICAL\x1b[0m"));
    let plain: String = text
        .replace("\x1b[1;31m", "")
        .replace("\x1b[33m", "")
        .replace("\x1b[2m", "")
        .replace("\x1b[1m", "")
        .replace("\x1b[0m", "");
    assert_eq!(plain, render(&report(), Style::plain()));
}

#[test]
fn keys_are_camel_case_and_round_trip() {
    fn keys(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    found.push(format!("{path}/{key}"));
                    keys(value, &format!("{path}/{key}"), found);
                }
            }
            Value::Array(all) => all.iter().for_each(|value| keys(value, path, found)),
            _ => {}
        }
    }
    let json = serde_json::to_value(report()).expect("JSON");
    let mut found = Vec::new();
    keys(&json, "", &mut found);
    assert!(found.iter().all(|key| !key.contains(['_', '-'])), "{found:?}");
    for key in ["/usage/memoryPeakMb", "/result/exitCode", "/violationTotals/byLayer/seccomp"] {
        assert!(found.iter().any(|have| have == key), "{key} in {found:?}");
    }
    let back: Report = serde_json::from_value(json).expect("report");
    assert_eq!(back, report());
}

#[test]
fn totals_are_sums() {
    let totals = report().violation_totals;
    assert_eq!(totals.total, 200_004);
    let SeverityTotals { info, warning, critical } = totals.by_severity;
    assert_eq!((info, warning, critical), (1, 200_000, 3));
    assert_eq!(totals.by_layer[&Layer::Seccomp], 3);
}

#[test]
fn what_was_not_recorded_is_said() {
    let end = |coverage, recorded, kernel_total| Reconciled {
        coverage,
        recorded,
        kernel_total,
        lost: 0,
        drained: true,
        overruns: 0,
        dropped: None,
        processes: None,
    };
    let of = |end: &Reconciled| RecordingOf::from(end).status;
    assert_eq!(of(&end(Coverage::Recorded, 0, None)), RecordingStatus::Complete);
    assert_eq!(of(&end(Coverage::Recorded, 3, Some(3))), RecordingStatus::Complete);
    assert_eq!(of(&end(Coverage::Recorded, 3, None)), RecordingStatus::Incomplete);
    let late = |total| Reconciled { drained: false, ..end(Coverage::Recorded, 0, total) };
    assert_eq!(of(&late(None)), RecordingStatus::Incomplete);
    assert_eq!(of(&late(Some(0))), RecordingStatus::Complete);
    assert_eq!(of(&end(Coverage::NotPermitted, 0, None)), RecordingStatus::Unavailable);
    assert_eq!(of(&end(Coverage::TurnedOffMeanwhile, 3, None)), RecordingStatus::Incomplete);
    let mut report = report();
    report.recording.landlock = RecordingOf::from(&end(Coverage::NoAudit, 0, None));
    let text = render(&report, Style::plain());
    assert!(text.contains("denials of landlock were not recorded: the kernel was built without"));
}
