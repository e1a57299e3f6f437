//! How deep brackets nest, counted before anything recursive sees the text.

/// Deeper than any of our formats, far below what the parser's recursion could be hurt by.
pub(super) const MAX_DEPTH: usize = 16;

/// Where brackets nest deeper than [`MAX_DEPTH`]. Strings and comments are skipped. Where the text is not TOML the count may
/// differ from the parser's, whose own recursion is bounded too (80 levels).
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' => at = find(bytes, at, b"\n").unwrap_or(bytes.len()),
            b'"' | b'\'' => at = skip_string(bytes, at, *byte),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The last byte of the string that begins at `start`; the end of its line where it is not closed.
fn skip_string(bytes: &[u8], start: usize, quote: u8) -> usize {
    let triple = [quote; 3];
    let multiline = bytes[start..].starts_with(&triple);
    let mut at = start + if multiline { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !multiline => return at,
            byte if byte == quote && !multiline => return at,
            byte if byte == quote && bytes[at..].starts_with(&triple) => return at + 2,
            _ => {}
        }
        at += 1;
    }
    at
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    bytes[from..].windows(needle.len()).position(|window| window == needle).map(|i| from + i)
}
