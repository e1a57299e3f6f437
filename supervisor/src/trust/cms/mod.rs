//! `MANIFEST.p7s`: a detached CMS signature, RFC 5652, of a strict profile.
//!
//! `SignedData` version 1 without content; exactly one signer, named by issuer and serial number; SHA-256; `rsaEncryption` or
//! `sha256WithRSAEncryption`; signed attributes with content type (data) and message digest, signing time being a claim;
//! certificates of the signer and its intermediates, as roots come from the host; at most 64 KiB. `openssl cms` makes and
//! checks the same files.

mod make;
mod parse;

pub use make::make;
pub use parse::{Signed, parse};

/// More than a chain of 8192-bit keys needs.
pub const MOST_BYTES: usize = 64 * 1024;
/// More than a chain has.
pub(super) const MOST_CERTIFICATES: usize = 8;
