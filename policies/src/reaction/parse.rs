//! The file of rules.

use std::borrow::Cow;

use crate::diag::{Diagnostics, code, nearest};
use crate::document::{Reader, Section, shorten};
use crate::reaction::{ReactionAction, ReactionRule, ReactionRules};
use crate::seccomp::{SEVERITIES, reason};
use crate::tier::Tier;
use crate::violation::{Code, Layer, Severity};

/// A page or two.
const MAX_BYTES: usize = 64 * 1024;
/// Every violation is held against every rule.
const MAX_RULES: usize = 64;
/// What a rule counts is kept in memory.
const MAX_COUNT: u64 = 100_000;
/// Longer than any run.
const MAX_WINDOW_S: u64 = 86_400;
const MAX_NAME: usize = 64;

const KEYS: [&str; 9] =
    ["name", "codes", "layers", "severity", "tiers", "count", "window_s", "action", "reason"];

/// Reads `reactions.toml`.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<ReactionRules, Diagnostics> {
    let (mut owned, document) = Reader::open(file, bytes, MAX_BYTES)?;
    let reader = &mut owned;
    let root = reader.root(&document, &["rule"]);
    let mut rules: Vec<ReactionRule> = Vec::new();
    let lines = reader.sections(root, "rule", &KEYS);
    if lines.len() > MAX_RULES {
        let message = format!("there are {} rules, more than {MAX_RULES}", lines.len());
        reader.report(0..0, code::TOO_MANY_ENTRIES, message, "");
    }
    for line in lines.into_iter().take(MAX_RULES) {
        let rule = rule(reader, line, &rules);
        rules.extend(rule);
    }
    if reader.failed() {
        return Err(owned.into_diagnostics());
    }
    Ok(ReactionRules { rules: rules.into() })
}

/// One rule; `None` only where something of it was reported.
fn rule(
    reader: &mut Reader<'_>,
    line: Section<'_, '_>,
    before: &[ReactionRule],
) -> Option<ReactionRule> {
    let name = name(reader, line, before);
    let codes = list(reader, line, "codes", Code::parse, "code", &|| {
        Code::ALL.iter().map(|code| code.text()).collect()
    });
    let layers = list(reader, line, "layers", Layer::parse, "layer", &|| {
        Layer::ALL.iter().map(|layer| layer.text()).collect()
    });
    let tier = |name: &str| Tier::ALL.into_iter().find(|tier| tier.name() == name);
    let tiers = list(reader, line, "tiers", tier, "tier", &|| {
        Tier::ALL.iter().map(|tier| tier.name()).collect()
    });
    let severity = reader.word(line, "severity", &SEVERITIES).unwrap_or(Severity::Info);
    for code in codes.iter().filter(|code| !layers.is_empty() && !layers.contains(&code.layer())) {
        let message = format!("{} is of layer {}", code.text(), code.layer().text());
        let hint = "it never counts: name its layer, too, or leave `layers` out";
        reader.report(Reader::start(line), code::UNKNOWN_VALUE, message, hint);
    }
    let count = reader.number(line, "count", 1..=MAX_COUNT).map(|found| found.value);
    let count = if Reader::has(line, "count") { count } else { Some(1) };
    let window_s = reader.number(line, "window_s", 1..=MAX_WINDOW_S).map(|found| found.value);
    if count.is_some_and(|count| count > 1) && !Reader::has(line, "window_s") {
        reader.require(line, "window_s");
    }
    reader.require(line, "action");
    let action = reader.word(line, "action", &ReactionAction::WORDS);
    let reason = reason(reader, line);
    Some(ReactionRule {
        name,
        codes: codes.into(),
        layers: layers.into(),
        severity,
        tiers: tiers.into(),
        count: count?,
        window_s,
        action: action?,
        reason,
    })
}

fn name(
    reader: &mut Reader<'_>,
    line: Section<'_, '_>,
    before: &[ReactionRule],
) -> Cow<'static, str> {
    let Some(found) = reader.required_text(line, "name") else {
        return Cow::Borrowed("");
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if found.value.is_empty() || found.value.len() > MAX_NAME || !found.value.bytes().all(plain) {
        let message = format!("\"{}\" is no name of a rule", shorten(found.value));
        let hint = "lower-case letters, digits and hyphens, at most 64";
        reader.report(found.span, code::BAD_TEXT, message, hint);
    } else if before.iter().any(|rule| rule.name == found.value) {
        let message = format!("there are two rules \"{}\"", found.value);
        let hint = "records name the rule: give each its own name";
        reader.report(found.span, code::DUPLICATE_ENTRY, message, hint);
    }
    Cow::Owned(found.value.to_owned())
}

/// A list of known words without repetition. An empty list is a mistake: it would match everything, or nothing.
fn list<T: Copy + PartialEq>(
    reader: &mut Reader<'_>,
    line: Section<'_, '_>,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
    known: &dyn Fn() -> Vec<&'static str>,
) -> Vec<T> {
    let Some(list) = reader.texts(line, key, 64) else {
        return Vec::new();
    };
    if list.value.is_empty() {
        let hint = format!("leave `{key}` out for every {what}");
        reader.report(list.span, code::UNKNOWN_VALUE, format!("`{key}` is empty"), hint);
        return Vec::new();
    }
    let mut values = Vec::with_capacity(list.value.len());
    for found in list.value {
        match parse(found.value) {
            Some(value) if values.contains(&value) => {
                let message = format!("{} is named twice", found.value);
                reader.report(found.span, code::DUPLICATE_ENTRY, message, "");
            }
            Some(value) => values.push(value),
            None => {
                let known = known();
                let hint = match nearest(found.value, known.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None if known.len() > 10 => String::from("`sandboxctl codes` lists them"),
                    None => format!("one of {}", known.join(", ")),
                };
                let message = format!("there is no {what} \"{}\"", shorten(found.value));
                reader.report(found.span, code::UNKNOWN_VALUE, message, hint);
            }
        }
    }
    values
}
