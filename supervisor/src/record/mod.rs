//! What was denied, counted exactly and written down.

pub mod audit;
pub mod bucket;
pub mod clock;
pub mod escape;
pub mod ledger;
pub mod object;
pub mod reactions;
pub mod sink;
pub mod usage;
