//! What an extension may do, as pure data and pure functions.
//!
//! No I/O beyond bytes that are handed in, no clock, no unsafe code: every answer here follows from its arguments, so
//! that it can be tested and fuzzed without a kernel.
//!
//! The way through: [`set::PolicySet`] (tiers, system calls, file tree) and [`manifest::Manifest`] meet in
//! [`decision::decide`]; what it grants becomes a [`plan::Plan`] by [`plan::derive::derive`].
#![forbid(unsafe_code)]

pub mod address;
pub mod diag;
pub mod digest;
pub mod domain;
mod document;
pub mod limits;
pub mod permission;
pub mod violation;
pub mod vulnerability;
pub mod sbom;
pub mod advisory;
pub mod tier;
pub mod seccomp;
pub mod rootfs;
pub mod reaction;
pub mod set;
pub mod manifest;
pub mod files;
pub mod decision;
pub mod plan;
