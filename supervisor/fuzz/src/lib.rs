//! What the targets share.

use policies::domain::DomainName;

/// The name that every connection is meant for.
pub const NAME: &str = "api.example.com";
/// Its port.
pub const PORT: u16 = 8080;

/// [`NAME`].
#[must_use]
pub fn name() -> DomainName {
    DomainName::from_ascii(NAME).unwrap_or_else(|error| panic!("{NAME}: {error}"))
}

/// The ways in which an input may come in pieces: one byte at a time, and pieces of lengths that depend on the input, so
/// that the input alone reproduces a finding.
#[must_use]
pub fn splits(input: &[u8]) -> [Vec<&[u8]>; 2] {
    let bytes = input.chunks(1).collect();
    // FNV-1a, then xorshift.
    let mut state = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }) | 1;
    let mut pieces = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Short pieces mostly, long ones sometimes.
        let most = if state & 7 == 0 { 512 } else { 9 };
        let length = usize::try_from((state >> 8) % most).unwrap_or_default() + 1;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    [bytes, pieces]
}
