//! Denials as they happen: each source turns kernel events into attempts for the ledger, driven by the caller's poll loop.

pub mod audit;
pub mod audit_record;
pub mod audit_state;
pub mod coverage;
pub mod decode;
mod domains;
pub mod notify;
pub mod process;
pub mod words;
