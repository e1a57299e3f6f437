//! One line that is written over while an extension runs.

use std::io::{self, Write};
use std::time::Duration;

use crate::report::style::{Style, fit};

/// Back to the first column and clear the line.
pub const CLEAR: &str = "\r\x1b[K";

/// Usage now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Since the start.
    pub elapsed: Duration,
    /// Memory, in MiB.
    pub memory_mb: f64,
    /// Its limit, in MiB.
    pub memory_limit_mb: u64,
    /// CPU since the last snapshot, in percent of one core.
    pub cpu_percentage: f64,
}

/// The progress line; does nothing unless it goes to a terminal.
#[derive(Debug)]
pub struct Progress<W: Write> {
    out: W,
    style: Style,
    shown: bool,
}

impl<W: Write> Progress<W> {
    /// Nothing is written yet.
    pub fn new(out: W, style: Style) -> Self {
        Self { out, style, shown: false }
    }

    /// Writes the line, over the last one.
    pub fn show(&mut self, now: &Snapshot) -> io::Result<()> {
        if !self.style.terminal {
            return Ok(());
        }
        let text = format!(
            "{:.1} s  memory {:.0} / {} MB  cpu {:.0} %",
            now.elapsed.as_secs_f64(),
            now.memory_mb,
            now.memory_limit_mb,
            now.cpu_percentage
        );
        // The last column stays free: some terminals wrap when it is written.
        let text = fit(&text, self.style.width.saturating_sub(1));
        self.shown = true;
        self.out.write_all(format!("{CLEAR}{text}").as_bytes())?;
        self.out.flush()
    }

    /// Takes the line away.
    pub fn clear(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.shown) {
            return Ok(());
        }
        self.out.write_all(CLEAR.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(style: Style) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, style);
        let now = Snapshot {
            elapsed: Duration::from_millis(1250),
            memory_mb: 129.6,
            memory_limit_mb: 256,
            cpu_percentage: 21.4,
        };
        progress.show(&now).expect("show");
        progress.clear().expect("clear");
        progress.clear().expect("clear");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn only_on_a_terminal() {
        assert_eq!(shown(Style::plain()), "");
        let terminal = Style { terminal: true, ..Style::plain() };
        assert_eq!(shown(terminal), "\r\x1b[K1.2 s  memory 130 / 256 MB  cpu 21 %\r\x1b[K");
        let narrow = Style { width: 12, ..terminal };
        assert_eq!(shown(narrow), "\r\x1b[K1.2 s  m...\r\x1b[K");
    }
}
