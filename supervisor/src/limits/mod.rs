//! The limits of a run: control groups first, resource limits and a guard where there are none.

pub mod cgroup;
pub mod enforcement;
pub mod guard;
pub mod rlimits;
pub mod verdict;
