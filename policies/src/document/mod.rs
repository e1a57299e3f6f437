//! A TOML document read by hand, so that every problem is listed at once and with its place.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diag::{Diagnostic, DiagnosticSeverity, Diagnostics, code, nearest};

mod depth;
mod scalars;

use depth::{MAX_DEPTH, too_deep};

/// Each problem costs a search for its place: a hostile file must not have a hundred thousand of them.
const MAX_PROBLEMS: usize = 100;

/// A value and where it stands, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// One table of the document; absent tables read as empty.
#[derive(Clone, Copy)]
pub(crate) struct Section<'r, 'a> {
    name: &'r str,
    table: Option<&'r DeTable<'a>>,
    start: usize,
}

/// Reads values out of a document and keeps what is wrong with them.
pub(crate) struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<(usize, Diagnostic)>,
    /// Lines that are not TOML: what was recovered from them is not judged again.
    broken: BTreeSet<usize>,
    /// Problems beyond [`MAX_PROBLEMS`].
    untold: usize,
}

impl<'a> Reader<'a> {
    /// Parses `bytes`. What cannot be read at all is an error; syntax errors are kept as problems, so that the rest of
    /// the document is read too.
    pub(crate) fn open(
        file: &'a str,
        bytes: &'a [u8],
        max_bytes: usize,
    ) -> Result<(Self, Spanned<DeTable<'a>>), Diagnostics> {
        let mut reader =
            Self { file, text: "", problems: Vec::new(), broken: BTreeSet::new(), untold: 0 };
        if bytes.len() > max_bytes {
            let message = format!("file has {} bytes, more than {max_bytes}", bytes.len());
            reader.report(0..0, code::FILE_TOO_LARGE, message, "data belongs in other files");
            return Err(reader.into_diagnostics());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => reader.text = text,
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                reader.text = std::str::from_utf8(valid).unwrap_or_default();
                let byte = rest.first().copied().unwrap_or_default();
                let message = format!("byte 0x{byte:02x} is not valid UTF-8");
                let at = reader.text.len();
                reader.report(at..at, code::NOT_UTF8, message, "save the file as UTF-8");
                return Err(reader.into_diagnostics());
            }
        }
        if let Some(at) = too_deep(reader.text) {
            let message = format!("brackets are nested deeper than {MAX_DEPTH}");
            reader.report(at..at, code::NESTING_TOO_DEEP, message, "");
            return Err(reader.into_diagnostics());
        }
        let (root, errors) = DeTable::parse_recoverable(reader.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().replace('\n', ", ");
            let duplicate = message.contains("duplicate key");
            let code = if duplicate { code::DUPLICATE_KEY } else { code::SYNTAX };
            let hint = if duplicate { "keep one of them" } else { "" };
            if reader.problems.len() < MAX_PROBLEMS {
                let line = reader.place(span.start).0;
                reader.report(span, code, message, hint);
                reader.broken.insert(line);
            } else {
                reader.untold += 1;
            }
        }
        Ok((reader, root))
    }

    /// Whether anything is wrong so far.
    pub(crate) fn failed(&self) -> bool {
        !self.problems.is_empty()
    }

    /// All problems, in the order of their places.
    pub(crate) fn into_diagnostics(mut self) -> Diagnostics {
        self.problems.sort_by_key(|(offset, _)| *offset);
        if let (true, Some((_, last))) = (self.untold > 0, self.problems.last_mut()) {
            last.hint = format!("{} more problems are not shown", self.untold);
        }
        Diagnostics(self.problems.into_iter().map(|(_, diagnostic)| diagnostic).collect())
    }

    /// Keeps a problem, unless its line is not TOML in the first place.
    pub(crate) fn report(
        &mut self,
        span: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.untold += 1;
            return;
        }
        let (line, column) = self.place(span.start);
        if self.broken.contains(&line) {
            return;
        }
        let diagnostic = Diagnostic {
            code,
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            hint: hint.into(),
            severity: DiagnosticSeverity::Error,
        };
        self.problems.push((span.start, diagnostic));
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The whole document as a table of these keys.
    pub(crate) fn root<'r, 's>(
        &mut self,
        root: &'r Spanned<DeTable<'s>>,
        keys: &[&str],
    ) -> Section<'r, 's> {
        self.known(root.get_ref(), "", keys);
        Section { name: "", table: Some(root.get_ref()), start: 0 }
    }

    /// The table `[name]`; unknown keys in it are problems.
    pub(crate) fn section<'r, 's>(
        &mut self,
        parent: Section<'r, 's>,
        name: &'r str,
        keys: &[&str],
    ) -> Section<'r, 's> {
        let absent = Section { name, table: None, start: 0 };
        let Some(value) = parent.table.and_then(|table| table.get(name)) else {
            return absent;
        };
        let span = value.span();
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(span, name, "a table", value.get_ref());
            return absent;
        };
        self.known(table, name, keys);
        Section { name, table: Some(table), start: span.start }
    }

    /// The tables `[[name]]`.
    pub(crate) fn sections<'r, 's>(
        &mut self,
        parent: Section<'r, 's>,
        name: &'r str,
        keys: &[&str],
    ) -> Vec<Section<'r, 's>> {
        let Some(list) = self.array(parent, name) else {
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(list.len());
        for item in list {
            match item.get_ref() {
                DeValue::Table(table) => {
                    self.known(table, name, keys);
                    sections.push(Section { name, table: Some(table), start: item.span().start });
                }
                other => self.wrong_type(item.span(), name, "a table", other),
            }
        }
        sections
    }

    fn known(&mut self, table: &DeTable<'_>, name: &str, keys: &[&str]) {
        for key in table.keys() {
            let word: &str = key.get_ref();
            if keys.contains(&word) {
                continue;
            }
            let place = if name.is_empty() { String::new() } else { format!(" in [{name}]") };
            let hint = match nearest(word, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are {}", keys.join(", ")),
            };
            let message = format!("unknown key `{}`{place}", shorten(word));
            self.report(key.span(), code::UNKNOWN_KEY, message, hint);
        }
    }

    /// The entries of a table of free keys.
    pub(crate) fn entries<'r>(
        &mut self,
        parent: Section<'r, '_>,
        name: &'r str,
    ) -> Vec<(Found<&'r str>, Found<&'r str>)> {
        let Some(value) = parent.table.and_then(|table| table.get(name)) else {
            return Vec::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value.span(), name, "a table", value.get_ref());
            return Vec::new();
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = Found { value: key.get_ref().as_ref(), span: key.span() };
            if let Some(text) = self.as_text(value, name.value) {
                entries.push((name, text));
            }
        }
        entries
    }

    /// A text; absent is no problem.
    pub(crate) fn text<'r>(
        &mut self,
        section: Section<'r, '_>,
        key: &str,
    ) -> Option<Found<&'r str>> {
        let value = section.table?.get(key)?;
        self.as_text(value, key)
    }

    /// A text; absent is a problem.
    pub(crate) fn required_text<'r>(
        &mut self,
        section: Section<'r, '_>,
        key: &str,
    ) -> Option<Found<&'r str>> {
        self.require(section, key);
        self.text(section, key)
    }

    fn as_text<'r>(
        &mut self,
        value: &'r Spanned<DeValue<'_>>,
        key: &str,
    ) -> Option<Found<&'r str>> {
        let found = value.get_ref().as_str().map(|text| Found { value: text, span: value.span() });
        if found.is_none() {
            self.wrong_type(value.span(), key, "a text", value.get_ref());
        }
        found
    }

    /// A list of texts, or `None` where it is absent or no list.
    pub(crate) fn texts<'r>(
        &mut self,
        section: Section<'r, '_>,
        key: &str,
        max: usize,
    ) -> Option<Found<Vec<Found<&'r str>>>> {
        let span = section.table?.get(key)?.span();
        let list = self.array(section, key)?;
        if list.len() > max {
            let message = format!("`{key}` has {} entries, more than {max}", list.len());
            self.report(span, code::TOO_MANY_ENTRIES, message, "");
            return None;
        }
        let texts = list.iter().filter_map(|item| self.as_text(item, key)).collect();
        Some(Found { value: texts, span })
    }

    /// A list of lists or of inline tables, for the argument tests of policy files.
    pub(crate) fn array<'r, 's>(
        &mut self,
        section: Section<'r, 's>,
        key: &str,
    ) -> Option<&'r [Spanned<DeValue<'s>>]> {
        let value = section.table?.get(key)?;
        match value.get_ref() {
            DeValue::Array(list) => Some(list),
            other => {
                self.wrong_type(value.span(), key, "a list", other);
                None
            }
        }
    }

    /// An item of a list as a table.
    pub(crate) fn item<'r, 's>(
        &mut self,
        value: &'r Spanned<DeValue<'s>>,
        name: &'r str,
        keys: &[&str],
    ) -> Option<Section<'r, 's>> {
        if let DeValue::Table(table) = value.get_ref() {
            self.known(table, name, keys);
            return Some(Section { name, table: Some(table), start: value.span().start });
        }
        self.wrong_type(value.span(), name, "a table", value.get_ref());
        None
    }

    /// Whether a key is there, of whatever type.
    pub(crate) fn has(section: Section<'_, '_>, key: &str) -> bool {
        section.table.is_some_and(|table| table.contains_key(key))
    }

    /// Reports an absent key.
    pub(crate) fn require(&mut self, section: Section<'_, '_>, key: &str) {
        // A line that is not TOML may be the very line that had the key.
        if !self.broken.is_empty() || section.table.is_some_and(|table| table.contains_key(key)) {
            return;
        }
        let message = if section.name.is_empty() {
            format!("`{key}` is missing")
        } else {
            format!("`{key}` is missing in [{}]", section.name)
        };
        self.report(section.start..section.start, code::MISSING_KEY, message, "");
    }

    fn wrong_type(&mut self, span: Range<usize>, key: &str, wanted: &str, found: &DeValue<'_>) {
        let message = format!("`{}` is {}, not {wanted}", shorten(key), kind(found));
        self.report(span, code::WRONG_TYPE, message, "");
    }

    /// Where a section begins.
    pub(crate) fn start(section: Section<'_, '_>) -> Range<usize> {
        section.start..section.start
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Text of a file in a message: one line, printable, short.
pub(crate) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown
}
