//! Classes of OCSF 1.8, <https://schema.ocsf.io/1.8.0>:
//!
//! | event | class |
//! |---|---|
//! | `violation` | Detection Finding 2004, with the profile `security_control` |
//! | `decision` | Compliance Finding 2003 |
//! | `run.start`, `run.end`, `registration[.removed]`, `extension.enabled`, `.disabled` | Application Lifecycle 6002 |
//! | `error` | Application Error 6008 |
//! | `audit.*` | Event Log Activity 1008 |
//! | others | Base Event 0 |
//!
//! What no attribute is for is in `unmapped`; the line itself is `raw_data`, so that its hash can be checked.

use jiff::Timestamp;
use policies::violation::{Action, Object, Severity, Violation};
use serde_json::{Map, Value, json};

use super::words;
use crate::record::audit::query::Record;
use crate::record::sink;

const VERSION: &str = "1.8.0";

/// A class and what happened in its terms.
struct Class {
    uid: u32,
    name: &'static str,
    category: (u32, &'static str),
    activity: (u32, &'static str),
}

pub(super) fn render(line: &str, record: &Record<'_>) -> Value {
    let violation = serde_json::from_str::<Violation>(record.data.get()).ok();
    let data: Value = serde_json::from_str(record.data.get()).unwrap_or_default();
    let class = class(&record.kind, violation.is_some());
    let mut event = base(&class, line, record);
    match (class.uid, &violation) {
        (2004, Some(violation)) => detection(&mut event, record, violation),
        (2003, _) => compliance(&mut event, record, &data),
        (6002, _) => {
            event.insert("app".to_owned(), app(record));
            if let Some(status) = data["result"]["status"].as_str() {
                let failed = matches!(status, "failed" | "refused");
                status_of(&mut event, !failed);
                event.insert("status_detail".to_owned(), json!(status));
            }
        }
        (1008, _) => {
            event.insert("log_name".to_owned(), json!("audit"));
            event.insert("log_provider".to_owned(), json!("sandboxctl"));
            event.insert("actor".to_owned(), actor(record));
        }
        _ => {}
    }
    if violation.is_none() {
        event.insert("unmapped".to_owned(), unmapped(record, Some(data)));
    }
    Value::Object(event)
}

fn class(kind: &str, is_violation: bool) -> Class {
    let of = |uid, name, category, activity| Class { uid, name, category, activity };
    let findings = (2, "Findings");
    let application = (6, "Application Activity");
    let life = |activity| of(6002, "Application Lifecycle", application, activity);
    let log = |activity| of(1008, "Event Log Activity", (1, "System Activity"), activity);
    match kind {
        _ if is_violation => of(2004, "Detection Finding", findings, (1, "Create")),
        "decision" => of(2003, "Compliance Finding", findings, (1, "Create")),
        "run.start" => life((3, "Start")),
        "run.end" => life((4, "Stop")),
        "registration" => life((1, "Install")),
        "registration.removed" => life((2, "Remove")),
        "extension.enabled" => life((6, "Enable")),
        "extension.disabled" => life((7, "Disable")),
        "error" => of(6008, "Application Error", application, (1, "General Error")),
        "audit.pruned" => log((2, "Delete")),
        "audit.sealed" => log((5, "Rotate")),
        kind if kind.starts_with("audit.") => log((99, "Other")),
        _ => of(0, "Base Event", (0, "Uncategorized"), (99, "Other")),
    }
}

/// What every class has.
fn base(class: &Class, line: &str, record: &Record<'_>) -> Map<String, Value> {
    let (activity, activity_name) = class.activity;
    // The caption of "other" must be the source's own word.
    let activity_name = if activity == 99 { record.kind.as_ref() } else { activity_name };
    let (severity, severity_name) = match record.sev {
        Severity::Info => (1, "Informational"),
        Severity::Warning => (3, "Medium"),
        Severity::Critical => (5, "Critical"),
    };
    let time = record.ts.parse::<Timestamp>().unwrap_or_default().as_millisecond();
    let mut metadata = json!({
        "version": VERSION,
        "product": {
            "name": "sandboxctl",
            "vendor_name": "sandboxctl",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "log_name": "audit",
        "log_provider": "sandboxctl",
        "uid": record.h.as_deref().unwrap_or_default(),
        "sequence": record.seq,
        "original_time": record.ts,
        "event_code": record.kind,
    });
    if !record.run.is_empty() {
        metadata["correlation_uid"] = json!(record.run);
    }
    let event = json!({
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": class.category.0,
        "category_name": class.category.1,
        "class_uid": class.uid,
        "class_name": class.name,
        "type_uid": class.uid * 100 + activity,
        "severity_id": severity,
        "severity": severity_name,
        "time": time,
        "message": words(record),
        "metadata": metadata,
        "raw_data": line,
    });
    match event {
        Value::Object(event) => event,
        _ => Map::new(),
    }
}

fn detection(event: &mut Map<String, Value>, record: &Record<'_>, violation: &Violation) {
    let time = |text: &str| text.parse::<Timestamp>().unwrap_or_default().as_millisecond();
    event["metadata"]["profiles"] = json!(["security_control"]);
    let (action, action_name) = match violation.action {
        Action::Denied | Action::Killed => (2, "Denied"),
        Action::Throttled => (4, "Modified"),
    };
    let mut put = |key: &str, value: Value| event.insert(key.to_owned(), value);
    put("action_id", json!(action));
    put("action", json!(action_name));
    if action == 2 {
        put("disposition_id", json!(2));
        put("disposition", json!("Blocked"));
    }
    put("is_alert", json!(violation.severity > Severity::Info));
    put("status_id", json!(1));
    put("status", json!("New"));
    put("count", json!(violation.count));
    put("start_time", json!(time(&violation.first_ts)));
    put("end_time", json!(time(&violation.ts)));
    put(
        "finding_info",
        json!({
            "uid": format!("{}/{}", record.run, violation.seq),
            "title": violation.code.words(),
            "types": [violation.code.text()],
            "first_seen_time": time(&violation.first_ts),
            "last_seen_time": time(&violation.ts),
            "analytic": {
                "type_id": 1,
                "type": "Rule",
                "name": violation.rule,
                "category": sink::layer(violation),
            },
        }),
    );
    put("resources", json!([resource(record)]));
    put("evidences", json!([evidence(violation)]));
    put("unmapped", unmapped(record, None));
}

fn evidence(violation: &Violation) -> Value {
    let mut evidence = json!({ "data": { "object": violation.object, "args": violation.args } });
    let who = &violation.process;
    let mut process = Map::new();
    if let Some(pid) = who.pid {
        process.insert("pid".to_owned(), json!(pid));
    }
    if let Some(comm) = &who.comm {
        process.insert("name".to_owned(), json!(comm));
    }
    if let Some(uid) = who.uid {
        process.insert("user".to_owned(), json!({ "uid": uid.to_string() }));
    }
    if !process.is_empty() {
        evidence["process"] = Value::Object(process);
    }
    match &violation.object {
        Object::Path { path, .. } => {
            let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/");
            evidence["file"] = json!({ "path": path, "name": name, "type_id": 0 });
        }
        Object::Port { port, .. } => evidence["dst_endpoint"] = json!({ "port": port }),
        Object::Name { name } => evidence["query"] = json!({ "hostname": name }),
        Object::Endpoint { host, address, port, protocol, .. } => {
            let mut endpoint = Map::new();
            for (key, text) in [("hostname", host), ("ip", address)] {
                if !text.is_empty() {
                    endpoint.insert(key.to_owned(), json!(text));
                }
            }
            if *port > 0 {
                endpoint.insert("port".to_owned(), json!(port));
            }
            evidence["dst_endpoint"] = Value::Object(endpoint);
            evidence["connection_info"] = json!({ "protocol_name": protocol, "direction_id": 2 });
        }
        Object::Syscall { name, .. } => evidence["api"] = json!({ "operation": name }),
        Object::Scope { .. } | Object::Limit { .. } => {}
    }
    evidence
}

fn compliance(event: &mut Map<String, Value>, record: &Record<'_>, data: &Value) {
    let (status, status_name) = match data["verdict"].as_str() {
        Some("allowed") => (1, "Pass"),
        Some("refused") => (3, "Fail"),
        _ => (2, "Warning"),
    };
    let codes: Vec<&str> = data["violated"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["code"].as_str())
        .collect();
    let mut put = |key: &str, value: Value| event.insert(key.to_owned(), value);
    put(
        "compliance",
        json!({
            "standards": ["sandboxctl tier policy"],
            "control": data["tier"].as_str().unwrap_or_default(),
            "requirements": codes,
            "status_id": status,
            "status": status_name,
        }),
    );
    put(
        "finding_info",
        json!({
            "uid": format!("{}/decision", record.run),
            "title": "decision whether an extension may run",
            "types": ["decision"],
        }),
    );
    put("resources", json!([resource(record)]));
    put("status_id", json!(1));
    put("status", json!("New"));
}

fn status_of(event: &mut Map<String, Value>, is_success: bool) {
    let (id, name) = if is_success { (1, "Success") } else { (2, "Failure") };
    event.insert("status_id".to_owned(), json!(id));
    event.insert("status".to_owned(), json!(name));
}

fn app(record: &Record<'_>) -> Value {
    let vendor = record.ext.split('.').next().unwrap_or_default();
    json!({ "name": record.ext, "uid": record.ext, "version": record.ver, "vendor_name": vendor })
}

fn resource(record: &Record<'_>) -> Value {
    json!({ "uid": record.ext, "name": record.ext, "type": "extension", "version": record.ver })
}

fn actor(record: &Record<'_>) -> Value {
    json!({ "user": { "name": record.actor }, "app_name": "sandboxctl" })
}

fn unmapped(record: &Record<'_>, data: Option<Value>) -> Value {
    let mut rest = json!({ "actor": record.actor });
    if let Some(data) = data {
        rest["data"] = data;
    }
    rest
}
