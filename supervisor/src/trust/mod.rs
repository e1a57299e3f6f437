//! Signatures, certificates and whom this host trusts.
//!
//! [`signer`] has the keys, [`cms`] makes and reads `MANIFEST.p7s`, [`anchors`] is what the operator trusts,
//! [`verify()`] gives every check its verdict with a code of [`code::CODES`], [`ca`] issues certificates.
//! [`api`] is the same for programs that embed the supervisor.

pub mod anchors;
#[cfg(not(fuzzing))]
pub mod api;
mod asn1;
mod bundle;
#[cfg(not(fuzzing))]
pub mod ca;
pub mod certificate;
pub mod cms;
pub mod code;
pub mod crl;
mod files;
pub mod folder;
pub mod key;
pub mod pem;
pub mod signer;
#[cfg(test)]
mod testing;
mod verify;

pub use bundle::{Vetted, vet};
pub use verify::{Check, CheckName, Claim, Integrity, SignerInfo, Verdict, Verification, verify};
