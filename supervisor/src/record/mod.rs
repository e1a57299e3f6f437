//! What was denied, counted exactly and written down.

#[cfg(not(fuzzing))]
pub mod audit;
pub mod bucket;
pub mod clock;
pub mod escape;
#[cfg(not(fuzzing))]
pub mod ledger;
pub mod object;
#[cfg(not(fuzzing))]
pub mod reactions;
#[cfg(not(fuzzing))]
pub mod sink;
#[cfg(not(fuzzing))]
pub mod usage;
