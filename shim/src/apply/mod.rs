//! One mechanism a file; each applies what the supervisor compiled.

pub(crate) mod cgroups;
pub(crate) mod descriptors;
pub(crate) mod exec;
pub(crate) mod identity;
pub(crate) mod landlock;
pub(crate) mod lifeline;
pub(crate) mod pivot;
pub(crate) mod privileges;
pub(crate) mod rlimits;
pub(crate) mod root;
pub(crate) mod seccomp;
pub(crate) mod session;
pub(crate) mod sysctls;
pub(crate) mod tree;
pub(crate) mod userns;
