//! `rootfs.toml`: which of the host's paths a sandbox sees, which files are made for it, and which are tripwires.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diag::{Diagnostics, code};
use crate::document::{Reader, Section, shorten};
use crate::seccomp::reason as reason_of;

const MAX_BYTES: usize = 256 * 1024;

/// The description of the file tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rootfs {
    /// Paths of the host, read-only; only for `runtime = "host"`.
    pub mirror: Cow<'static, [MirrorLine]>,
    /// Small files made for the sandbox; only for `runtime = "host"`.
    pub file: Cow<'static, [FileLine]>,
    /// Symbolic links; only for `runtime = "host"`.
    pub link: Cow<'static, [LinkLine]>,
    /// Paths under `/proc` that read as empty.
    pub mask: Cow<'static, [MaskLine]>,
    /// Empty entries that nothing needs.
    pub tripwire: Cow<'static, [TripwireLine]>,
}

/// A path of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MirrorLine {
    /// The same on the host and inside.
    pub path: Cow<'static, str>,
    /// Whether programs may be executed from it.
    pub exec: bool,
    /// Who needs it.
    pub reason: Cow<'static, str>,
}

/// A small file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileLine {
    /// Inside.
    pub path: Cow<'static, str>,
    /// What it says.
    pub text: Cow<'static, str>,
    /// Who needs it.
    pub reason: Cow<'static, str>,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinkLine {
    /// Inside.
    pub path: Cow<'static, str>,
    /// What it says.
    pub to: Cow<'static, str>,
    /// Who needs it.
    pub reason: Cow<'static, str>,
}

/// A path that reads as empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MaskLine {
    /// Inside, under `/proc`.
    pub path: Cow<'static, str>,
    /// What it would tell.
    pub reason: Cow<'static, str>,
}

/// A path that only the curious touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TripwireLine {
    /// Inside.
    pub path: Cow<'static, str>,
    /// Whether it is a directory.
    pub dir: bool,
    /// What the curious hope to find.
    pub reason: Cow<'static, str>,
}

/// Top-level names that the sandbox itself provides.
const PROVIDED: [&str; 5] = ["/proc", "/dev", "/tmp", "/data", "/ext"];

/// Reads `rootfs.toml`.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Rootfs, Diagnostics> {
    let (mut owned, document) = Reader::open(file, bytes, MAX_BYTES)?;
    let reader = &mut owned;
    let root = reader.root(&document, &["mirror", "file", "link", "mask", "tripwire"]);
    let mut seen = Vec::new();
    let mut mirror: Vec<MirrorLine> = Vec::new();
    for line in reader.sections(root, "mirror", &["path", "exec", "reason"]) {
        let path = path(reader, line, &mut seen);
        provided(reader, line, &path);
        reader.require(line, "exec");
        let exec = reader.truth(line, "exec").unwrap_or(false);
        mirror.push(MirrorLine { path, exec, reason: reason_of(reader, line) });
    }
    let mut files = Vec::new();
    for line in reader.sections(root, "file", &["path", "text", "reason"]) {
        let path = path(reader, line, &mut seen);
        provided(reader, line, &path);
        let text = text(reader, line, "text");
        files.push(FileLine { path, text, reason: reason_of(reader, line) });
    }
    let mut link = Vec::new();
    for line in reader.sections(root, "link", &["path", "to", "reason"]) {
        let path = path(reader, line, &mut seen);
        provided(reader, line, &path);
        let to = text(reader, line, "to");
        link.push(LinkLine { path, to, reason: reason_of(reader, line) });
    }
    let mut mask = Vec::new();
    for line in reader.sections(root, "mask", &["path", "reason"]) {
        let path = path(reader, line, &mut seen);
        if !path.starts_with("/proc/") {
            let message = format!("{} is not under /proc", shorten(&path));
            reader.report(Reader::start(line), code::BAD_PATH, message, "only /proc has masks");
        }
        mask.push(MaskLine { path, reason: reason_of(reader, line) });
    }
    let mut tripwire = Vec::new();
    for line in reader.sections(root, "tripwire", &["path", "dir", "reason"]) {
        let path = path(reader, line, &mut seen);
        provided(reader, line, &path);
        reader.require(line, "dir");
        let dir = reader.truth(line, "dir").unwrap_or(false);
        if let Some(mirror) = mirror.iter().find(|mirror| within(&path, &mirror.path)) {
            let message = format!("{path} can be read beneath the mirror {}", mirror.path);
            let at = Reader::start(line);
            reader.report(at, code::BAD_PATH, message, "a tripwire must be denied");
        }
        tripwire.push(TripwireLine { path, dir, reason: reason_of(reader, line) });
    }
    if reader.failed() {
        return Err(owned.into_diagnostics());
    }
    Ok(Rootfs {
        mirror: mirror.into(),
        file: files.into(),
        link: link.into(),
        mask: mask.into(),
        tripwire: tripwire.into(),
    })
}

/// Whether `path` is `folder` or beneath it; both absolute and without `.` and `..`.
#[must_use]
pub fn within(path: &str, folder: &str) -> bool {
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn text(reader: &mut Reader<'_>, line: Section<'_, '_>, key: &str) -> Cow<'static, str> {
    let found = reader.required_text(line, key);
    found.map_or(Cow::Borrowed(""), |found| Cow::Owned(found.value.to_owned()))
}

fn path(
    reader: &mut Reader<'_>,
    line: Section<'_, '_>,
    seen: &mut Vec<String>,
) -> Cow<'static, str> {
    let Some(found) = reader.required_text(line, "path") else {
        return Cow::Borrowed("/");
    };
    if !crate::manifest::is_clean_path(found.value) || found.value == "/" {
        let message = format!("\"{}\" is not a path", shorten(found.value));
        let hint = "absolute, below /, without empty parts, . and ..";
        reader.report(found.span, code::BAD_PATH, message, hint);
    } else if seen.iter().any(|other| other == found.value) {
        let message = format!("{} stands twice", found.value);
        reader.report(found.span, code::DUPLICATE_ENTRY, message, "keep one of them");
    } else {
        seen.push(found.value.to_owned());
    }
    Cow::Owned(found.value.to_owned())
}

fn provided(reader: &mut Reader<'_>, line: Section<'_, '_>, path: &str) {
    if PROVIDED.iter().any(|provided| within(path, provided)) {
        let message = format!("{} belongs to the sandbox itself", shorten(path));
        reader.report(Reader::start(line), code::BAD_PATH, message, "");
    }
}
