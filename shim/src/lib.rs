//! What supervisor and shim share: the wire format of a plan, the messages, and the order of the steps.
//!
//! The shim itself (`main.rs`) is a freestanding program without the standard library, so nothing here may need one,
//! but for the encoder that only the supervisor uses.
#![cfg_attr(not(any(test, feature = "encode")), no_std)]
#![forbid(unsafe_code)]

pub mod message;
pub mod step;
pub mod wire;
