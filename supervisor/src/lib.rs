//! The supervisor.
#![deny(unsafe_code)]

pub mod exit;
pub mod state;
pub mod host;
pub mod bundle;
pub mod trust;
pub mod registry;
pub mod admit;
pub mod limits;
pub mod data;
pub mod confine;
pub mod spawn;
pub mod egress;
pub mod monitor;
pub mod sample;
pub mod record;
pub mod report;
pub mod launch;
pub mod manager;
pub mod selftest;
pub mod cli;
pub mod sys;
