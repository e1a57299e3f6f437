//! What the terminal of a person can show.

use std::env;
use std::io::{IsTerminal, stderr};
use std::os::fd::AsFd;

use policies::violation::Severity;

use crate::sys::terminal::columns;

/// Columns where nothing says how many there are.
const USUAL_WIDTH: usize = 100;
/// Lines are hard to read beyond this.
const WIDEST: usize = 120;
/// Lines make no sense below this.
const NARROWEST: usize = 40;

/// How to write for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns that a line may take.
    pub width: usize,
    /// Whether colours are wanted.
    pub color: bool,
    /// Whether it is a terminal, so that a line can be written over.
    pub terminal: bool,
}

impl Style {
    /// For a file or a pipe.
    #[must_use]
    pub const fn plain() -> Self {
        Self { width: USUAL_WIDTH, color: false, terminal: false }
    }

    /// For this process's stderr. Colours only on a terminal, unless `NO_COLOR` (<https://no-color.org>) or a terminal
    /// that has none says otherwise.
    #[must_use]
    pub fn of_stderr() -> Self {
        let stderr = stderr();
        if !stderr.is_terminal() {
            return Self::plain();
        }
        let width = columns(stderr.as_fd()).map_or(USUAL_WIDTH, usize::from);
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { width: width.clamp(NARROWEST, WIDEST), color: !refused && !dumb, terminal: !dumb }
    }

    /// The text in the colour of a severity.
    #[must_use]
    pub fn severity(self, severity: Severity, text: &str) -> String {
        self.paint(
            match severity {
                Severity::Info => "2",
                Severity::Warning => "33",
                Severity::Critical => "1;31",
            },
            text,
        )
    }

    /// The text in bold.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// At most `width` characters; `...` stands for what was cut off.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(3)).collect();
    cut.push_str("...");
    cut
}
