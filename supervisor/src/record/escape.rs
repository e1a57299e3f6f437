//! Text of the extension on the operator's terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes text that an extension chose (a path, a command name) harmless on a terminal: control characters, escape
/// sequences and characters that reorder or hide text are written as `\u{..}`, a backslash as `\\`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c == '\\' || is_unsafe(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_unsafe(c) => {
                // Writing to a String cannot fail.
                if write!(out, "\\u{{{:x}}}", u32::from(c)).is_err() {
                    out.push('\u{fffd}');
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls, zero-width characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(visible("/plain/päth"), "/plain/päth");
        assert_eq!(visible("\x1b[2J\n"), "\\u{1b}[2J\\n");
        assert_eq!(visible("a\\n"), "a\\\\n");
        assert_eq!(visible("\u{9b}31m\u{202e}txt"), "\\u{9b}31m\\u{202e}txt");
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        assert!(!visible(&all).chars().any(is_unsafe));
    }
}
