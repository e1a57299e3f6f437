//! Finding events: segments are streamed, those that a checkpoint puts in another time are left out.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use memchr::memmem::Finder;
use policies::violation::Severity;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::checkpoint::{self, CheckpointError};
use super::key::published;
use super::line;
use super::note::Signed;
use super::read::{Lines, SegmentFile, snapshot};
use crate::record::clock::rfc3339;

/// Which events; what is not said is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// From this time on, in the form of the log.
    pub since: Option<String>,
    /// Before this time.
    pub until: Option<String>,
    /// Of this extension.
    pub ext: Option<String>,
    /// Of one of these types; of any if empty.
    pub kinds: Vec<String>,
    /// At least this severe.
    pub severity: Option<Severity>,
    /// Of this run.
    pub run: Option<String>,
    /// With this code: of a violation, or among the reasons of a decision.
    pub code: Option<String>,
}

/// One event as it is in the log.
#[derive(Debug, Deserialize)]
pub struct Record<'a> {
    /// Number.
    pub seq: u64,
    /// RFC 3339, UTC.
    #[serde(borrow)]
    pub ts: Cow<'a, str>,
    /// Type.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// How much it matters.
    pub sev: Severity,
    /// Extension id; empty if it is about none.
    #[serde(borrow)]
    pub ext: Cow<'a, str>,
    /// Its version.
    #[serde(borrow)]
    pub ver: Cow<'a, str>,
    /// Run id.
    #[serde(borrow)]
    pub run: Cow<'a, str>,
    /// Who asked for it.
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    /// Particulars, as JSON.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Hash; none in lines of a version without.
    #[serde(borrow, default)]
    pub h: Option<Cow<'a, str>>,
}

impl<'a> Record<'a> {
    /// Reads a line; `None` if it is no event.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        line.starts_with(b"{\"seq\":").then(|| serde_json::from_slice(line).ok())?
    }

    fn has_code(&self, code: &str) -> bool {
        #[derive(Deserialize)]
        struct Data<'a> {
            #[serde(borrow, default)]
            code: Option<Cow<'a, str>>,
            #[serde(borrow, default)]
            violated: Vec<Violated<'a>>,
        }
        #[derive(Deserialize)]
        struct Violated<'a> {
            #[serde(borrow)]
            code: Cow<'a, str>,
        }
        serde_json::from_str::<Data<'_>>(self.data.get()).is_ok_and(|data| {
            data.code.as_deref() == Some(code)
                || data.violated.iter().any(|violated| violated.code == code)
        })
    }
}

/// A filter in the form in which it is fast: most lines are turned down by a search for bytes.
#[derive(Debug)]
pub(super) struct Matcher<'f> {
    filter: &'f Filter,
    needles: Vec<Finder<'static>>,
}

impl<'f> Matcher<'f> {
    pub(super) fn new(filter: &'f Filter) -> Self {
        // A string has one form in our JSON, so a field's text is where it is or nowhere.
        let field = |key: &str, value: &Option<String>| {
            let value = serde_json::to_string(value.as_deref()?).ok()?;
            Some(format!("\"{key}\":{value}"))
        };
        let kind = filter.kinds.first().filter(|_| filter.kinds.len() == 1).cloned();
        let texts = [
            field("ext", &filter.ext),
            field("run", &filter.run),
            field("code", &filter.code),
            field("type", &kind),
        ];
        let needles = texts.into_iter().flatten();
        let needles = needles.map(|text| Finder::new(text.as_bytes()).into_owned()).collect();
        Self { filter, needles }
    }

    /// The event of this line, if it is asked for.
    pub(super) fn find<'a>(&self, line: &'a [u8]) -> Option<Record<'a>> {
        let filter = self.filter;
        let front = line::front(line)?;
        if filter.since.as_deref().is_some_and(|since| front.ts < since)
            || filter.until.as_deref().is_some_and(|until| front.ts >= until)
            || !self.needles.iter().all(|needle| needle.find(line).is_some())
        {
            return None;
        }
        let record = Record::parse(line)?;
        let is =
            |want: &Option<String>, found: &str| want.as_deref().is_none_or(|want| want == found);
        let matches = is(&filter.ext, &record.ext)
            && is(&filter.run, &record.run)
            && (filter.kinds.is_empty() || filter.kinds.iter().any(|kind| *kind == record.kind))
            && filter.severity.is_none_or(|least| record.sev >= least)
            && filter.code.as_deref().is_none_or(|code| record.has_code(code));
        matches.then_some(record)
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Segments that were read.
    pub read: u64,
    /// Segments that a checkpoint puts in another time.
    pub skipped: u64,
}

/// Hands out every event that is asked for, in the order of the log, with its line; until `visit` breaks off.
///
/// # Errors
/// [`CheckpointError`], where something cannot be read.
pub fn search(
    dir: &Path,
    filter: &Filter,
    mut visit: impl FnMut(&[u8], &Record<'_>) -> ControlFlow<()>,
) -> Result<Searched, CheckpointError> {
    let (files, _) = snapshot(dir).map_err(CheckpointError::at("read", dir))?;
    let matcher = Matcher::new(filter);
    let keys = published(dir)?;
    let mut searched = Searched::default();
    for file in files {
        let is_elsewhere = |(note, checkpoint): (super::note::Note, super::note::Checkpoint)| {
            note.signed_by(&keys) == Signed::Rightly && is_elsewhere(filter, &checkpoint, &file)
        };
        let kept = dir.join(checkpoint::name_of(&file.name));
        if kept.exists() && checkpoint::read(&kept).is_ok_and(is_elsewhere) {
            searched.skipped += 1;
            continue;
        }
        searched.read += 1;
        let path = dir.join(&file.name);
        let failed = |source| CheckpointError::at("read", &path)(source);
        let mut lines = Lines::open(dir, &file).map_err(failed)?;
        while let Some(line) = lines.next().map_err(failed)? {
            if line.is_whole
                && let Some(record) = matcher.find(line.bytes)
                && visit(line.bytes, &record).is_break()
            {
                return Ok(searched);
            }
        }
    }
    Ok(searched)
}

fn is_elsewhere(filter: &Filter, of: &super::note::Checkpoint, file: &SegmentFile) -> bool {
    let (Some(from), Some(to)) = (of.line("from"), of.line("to")) else { return false };
    of.line("segment") == Some(&file.name)
        && (filter.since.as_deref().is_some_and(|since| to < since)
            || filter.until.as_deref().is_some_and(|until| from >= until))
}

/// A time on the command line: RFC 3339, or how long ago, `90s`, `15m`, `2h`, `7d`, `3w`. In the form of the log.
#[must_use]
pub fn when(text: &str, now: SystemTime) -> Option<String> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(format!("{stamp:.6}"));
    }
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    let ago = Duration::from_secs(count.checked_mul(seconds)?);
    now.checked_sub(ago).map(rfc3339)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn times() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, want) in [
            ("2023-11-14T22:13:20Z", Some("2023-11-14T22:13:20.000000Z")),
            ("2023-11-14T23:13:20.5+01:00", Some("2023-11-14T22:13:20.500000Z")),
            ("20s", Some("2023-11-14T22:13:00.000000Z")),
            ("2d", Some("2023-11-12T22:13:20.000000Z")),
            ("0m", Some("2023-11-14T22:13:20.000000Z")),
            ("1w", Some("2023-11-07T22:13:20.000000Z")),
            ("", None),
            ("d", None),
            ("-1d", None),
            ("2 d", None),
            ("2é", None),
            ("99999999999999999999d", None),
            ("2023-11-14", None),
        ] {
            assert_eq!(when(text, now).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn filters() {
        let line = br#"{"seq":1,"ts":"2023-11-14T22:13:20.000000Z","type":"violation","sev":"WARNING","ext":"a\"b","ver":"1","run":"r","actor":"uid:0","data":{"code":"path-denied","object":{"ext":"x"}},"h":"0"}"#;
        let some = |text: &str| Some(text.to_owned());
        let yes = [
            Filter::default(),
            Filter { ext: some("a\"b"), run: some("r"), ..Filter::default() },
            Filter { kinds: vec!["violation".to_owned()], ..Filter::default() },
            Filter { severity: Some(Severity::Info), ..Filter::default() },
            Filter { code: some("path-denied"), ..Filter::default() },
            Filter { since: some("2023-11-14T22:13:20.000000Z"), ..Filter::default() },
        ];
        let no = [
            Filter { ext: some("x"), ..Filter::default() },
            Filter { kinds: vec!["decision".to_owned(), "limit".to_owned()], ..Filter::default() },
            Filter { severity: Some(Severity::Critical), ..Filter::default() },
            Filter { code: some("path"), ..Filter::default() },
            Filter { until: some("2023-11-14T22:13:20.000000Z"), ..Filter::default() },
        ];
        assert!(yes.iter().all(|filter| Matcher::new(filter).find(line).is_some()));
        assert!(no.iter().all(|filter| Matcher::new(filter).find(line).is_none()));
    }
}
