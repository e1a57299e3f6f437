//! The rules of single values.

use semver::Version;

use crate::diag::code;
use crate::document::{Found, Reader, shorten};

/// Ids become file names and cgroup names.
const MAX_ID: usize = 128;
const MAX_LABEL: usize = 128;
/// execve(2) refuses a single text beyond `MAX_ARG_STRLEN`, 128 KiB.
const MAX_ARGUMENT: usize = 128 * 1024 - 1;
/// `PATH_MAX` less the NUL byte.
const MAX_PATH: usize = 4095;

pub(super) fn id<'r>(reader: &mut Reader<'_>, found: Found<&'r str>) -> Option<Found<&'r str>> {
    let text = found.value;
    if is_id(text) {
        return Some(found);
    }
    let message = format!("id is \"{}\"", shorten(text));
    let hint =
        "publisher.name: parts of a-z, 0-9 and inner -, joined by dots, like \"acme.analytics\"";
    reader.report(found.span, code::BAD_ID, message, hint);
    None
}

pub(super) fn publisher<'r>(
    reader: &mut Reader<'_>,
    found: Found<&'r str>,
) -> Option<Found<&'r str>> {
    if found.value.len() <= MAX_ID && is_label(found.value) {
        return Some(found);
    }
    let message = format!("publisher is \"{}\"", shorten(found.value));
    reader.report(found.span, code::BAD_ID, message, "one part of a-z, 0-9 and inner -");
    None
}

/// Whether a text is the id of an extension.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID && text.contains('.') && text.split('.').all(is_label)
}

/// Whether a text is short enough for a version.
pub(crate) fn fits_version(text: &str) -> bool {
    text.len() <= MAX_LABEL
}

fn is_label(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(plain) && !part.starts_with('-') && !part.ends_with('-')
}

pub(super) fn label<'r>(
    reader: &mut Reader<'_>,
    key: &str,
    found: Found<&'r str>,
) -> Option<Found<&'r str>> {
    let text = found.value;
    let problem = if text.trim().is_empty() {
        "is empty"
    } else if text.chars().count() > MAX_LABEL {
        "is longer than 128 characters"
    } else if text.chars().any(is_deceptive) {
        "has control or direction-changing characters"
    } else {
        return Some(found);
    };
    let message = format!("`{key}` {problem}");
    reader.report(found.span, code::BAD_TEXT, message, "it is shown to people as it stands");
    None
}

/// Characters that make a terminal or a reader see another text than the one that is there.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{00ad}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn version(reader: &mut Reader<'_>, found: &Found<&str>) -> Option<Version> {
    match Version::parse(found.value) {
        Ok(version) if fits_version(found.value) => Some(version),
        Ok(_) => {
            let message = "version is longer than 128 characters";
            reader.report(found.span.clone(), code::BAD_VERSION, message, "");
            None
        }
        Err(error) => {
            let message = format!("version \"{}\": {error}", shorten(found.value));
            let hint = "a semantic version like \"1.0.0\"";
            reader.report(found.span.clone(), code::BAD_VERSION, message, hint);
            None
        }
    }
}

pub(super) fn command(
    reader: &mut Reader<'_>,
    list: Found<Vec<Found<&str>>>,
) -> Option<Vec<String>> {
    if list.value.first().is_none_or(|first| first.value.is_empty()) {
        let hint = "the program and its arguments, like [\"python3\", \"main.py\"]";
        reader.report(list.span, code::BAD_COMMAND, "`command` names no program", hint);
        return None;
    }
    let mut command = Vec::with_capacity(list.value.len());
    for found in list.value {
        if found.value.contains('\0') {
            let message = "`command` has a NUL byte";
            reader.report(found.span, code::BAD_COMMAND, message, "no argument can have one");
        } else if found.value.len() > MAX_ARGUMENT {
            let message = "an argument is longer than 128 KiB";
            reader.report(found.span, code::BAD_COMMAND, message, "the kernel refuses it");
        } else {
            command.push(found.value.to_owned());
        }
    }
    Some(command)
}

pub(super) fn env(reader: &mut Reader<'_>, name: &Found<&str>, value: &Found<&str>) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let text = name.value;
    if text.is_empty() || !text.bytes().all(word) || text.as_bytes()[0].is_ascii_digit() {
        let message = format!("\"{}\" is no name of an environment variable", shorten(text));
        let hint = "letters, digits and _, not beginning with a digit";
        reader.report(name.span.clone(), code::BAD_ENV_NAME, message, hint);
    } else if text.starts_with("SANDBOX") {
        let message = format!("`{}` is reserved", shorten(text));
        let hint = "names beginning with SANDBOX are set by the sandbox";
        reader.report(name.span.clone(), code::RESERVED_ENV_NAME, message, hint);
    }
    // execve(2) counts the name and `=` too.
    if value.value.contains('\0') || text.len() + 1 + value.value.len() > MAX_ARGUMENT {
        let message = format!("the value of `{}` has a NUL byte or is too long", shorten(text));
        reader.report(value.span.clone(), code::BAD_ENV_VALUE, message, "");
    }
}

/// Whether a path is absolute, without empty parts, `.`, `..` and control characters.
pub(crate) fn is_clean_path(path: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    path == "/"
        || path.len() <= MAX_PATH
            && !path.chars().any(is_deceptive)
            && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

pub(super) fn path<'r>(reader: &mut Reader<'_>, found: Found<&'r str>) -> Option<&'r str> {
    if is_clean_path(found.value) {
        return Some(found.value);
    }
    let message = format!("\"{}\" is not a plain absolute path", shorten(found.value));
    let hint = "begin with /, without empty parts, . and ..";
    reader.report(found.span, code::BAD_PATH, message, hint);
    None
}

/// A path, `dir/*` or `dir/**`; the latter two mean everything beneath `dir`, as the bare `dir` does.
pub(super) fn glob<'r>(reader: &mut Reader<'_>, found: Found<&'r str>) -> Option<&'r str> {
    let text = found.value;
    let bare = text.strip_suffix("/**").or_else(|| text.strip_suffix("/*")).unwrap_or(text);
    if bare.contains(['*', '?', '[', ']', '{', '}']) {
        let message = format!("\"{}\" is not a supported pattern", shorten(text));
        let hint = "a path, dir/* or dir/**; both mean everything beneath dir";
        reader.report(found.span, code::UNSUPPORTED_GLOB, message, hint);
        return None;
    }
    if bare == "/" || bare.is_empty() {
        let message = "the whole file system cannot be asked for";
        reader.report(found.span, code::BAD_PATH, message, "name a folder");
        return None;
    }
    path(reader, Found { value: bare, span: found.span })
}
