//! The supervisor.
//!
//! With `--cfg fuzzing`, as cargo-fuzz sets it, the library has what the targets of `fuzz/` call and little more: its
//! manifest then leaves out the dependencies of the rest, which would be compiled with AddressSanitizer for nothing.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, allow(dead_code, unused_imports, reason = "its callers are left out"))]

#[cfg(not(fuzzing))]
pub mod exit;
pub mod state;
#[cfg(not(fuzzing))]
pub mod host;
pub mod bundle;
pub mod trust;
#[cfg(not(fuzzing))]
pub mod registry;
#[cfg(not(fuzzing))]
pub mod admit;
#[cfg(not(fuzzing))]
pub mod limits;
#[cfg(not(fuzzing))]
pub mod data;
#[cfg(not(fuzzing))]
pub mod confine;
#[cfg(not(fuzzing))]
pub mod spawn;
pub mod egress;
#[cfg(not(fuzzing))]
pub mod monitor;
#[cfg(not(fuzzing))]
pub mod sample;
pub mod record;
#[cfg(not(fuzzing))]
pub mod report;
#[cfg(not(fuzzing))]
pub mod launch;
#[cfg(not(fuzzing))]
pub mod manager;
#[cfg(not(fuzzing))]
pub mod selftest;
#[cfg(not(fuzzing))]
pub mod cli;
pub mod sys;
