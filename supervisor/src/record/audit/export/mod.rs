//! The log in the words of other systems.

mod cef;
mod ocsf;

use std::fmt::Write as _;

use serde_json::Value;

use super::query::Record;

/// A form of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The lines of the log, byte for byte.
    Jsonl,
    /// ArcSight's Common Event Format, version 0.
    Cef,
    /// The Open Cybersecurity Schema Framework, as JSON Lines.
    Ocsf,
}

/// One event in this form, without a newline.
#[must_use]
pub fn render(format: Format, line: &str, record: &Record<'_>) -> String {
    match format {
        Format::Jsonl => line.to_owned(),
        Format::Cef => cef::render(record),
        Format::Ocsf => ocsf::render(line, record).to_string(),
    }
}

/// What an event says in one line: the object of a violation, the reasons of a decision, how a run ended. Not escaped.
#[must_use]
pub fn words(record: &Record<'_>) -> String {
    use crate::record::reactions::sentence;
    use crate::record::sink;
    use policies::reaction::Reaction;
    use policies::violation::Violation;

    if let Ok(violation) = serde_json::from_str::<Violation>(record.data.get()) {
        let times =
            if violation.count > 1 { format!(" x{}", violation.count) } else { String::new() };
        let what = sink::object(&violation.object);
        return format!("{}: {}: {what}{times}", violation.code.text(), violation.code.words());
    }
    let Ok(data) = serde_json::from_str::<Value>(record.data.get()) else {
        return record.data.get().to_owned();
    };
    let codes = |key: &str| {
        let all = data[key].as_array().into_iter().flatten();
        all.filter_map(|one| one["code"].as_str()).collect::<Vec<_>>().join(", ")
    };
    match record.kind.as_ref() {
        "decision" => {
            let verdict = data["verdict"].as_str().unwrap_or_default();
            let violated = codes("violated");
            let colon = if violated.is_empty() { "" } else { ": " };
            format!("{verdict}{colon}{violated}")
        }
        "run.start" => {
            let words = data["command"].as_array().into_iter().flatten();
            words.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        "run.end" => data["result"]["reason"].as_str().unwrap_or_default().to_owned(),
        "error" => data["error"].as_str().unwrap_or_default().to_owned(),
        "reaction" => {
            let action = data["action"].as_str().unwrap_or_default();
            let rule = serde_json::from_str::<Reaction>(record.data.get());
            rule.map_or_else(|_| pairs(&data), |rule| format!("{action}: {}", sentence(&rule)))
        }
        "audit.sealed" => format!(
            "{} up to event {}",
            data["segment"].as_str().unwrap_or_default(),
            data["lastSeq"]
        ),
        "audit.seal-failed" | "audit.prune-failed" => {
            data["detail"].as_str().unwrap_or_default().to_owned()
        }
        "audit.pruned" => format!("events {} to {}", data["fromSeq"], data["throughSeq"]),
        "audit.forward-lost" => {
            format!("{} events: {}", data["lost"], data["reason"].as_str().unwrap_or_default())
        }
        "signature.failed" => codes("failures"),
        "signature.verified" => data["signer"]["subject"].as_str().unwrap_or_default().to_owned(),
        _ => pairs(&data),
    }
}

/// `key=value` of everything that says something, nested keys with dots.
fn pairs(data: &Value) -> String {
    let mut text = String::new();
    add_pairs("", data, &mut text);
    text
}

fn add_pairs(key: &str, value: &Value, text: &mut String) {
    let plain = match value {
        Value::Null => return,
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if key.is_empty() { "" } else { "." };
                add_pairs(&format!("{key}{dot}{name}"), value, text);
            }
            return;
        }
        Value::Array(all) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if plain.is_empty() {
        return;
    }
    let gap = if text.is_empty() { "" } else { " " };
    let quoted = plain.contains([' ', '"', '=']).then(|| format!("{plain:?}"));
    // Writing to a String cannot fail.
    write!(text, "{gap}{key}={}", quoted.unwrap_or(plain)).unwrap_or_default();
}

#[cfg(test)]
mod tests;
