//! The limits of a run: control groups first, resource limits and a guard where there are none.

pub mod cgroup;
pub mod enforcement;
pub mod guard;
pub mod rlimits;
pub mod verdict;

#[cfg(test)]
mod testing {
    use policies::limits::Limits;

    /// Those of tier community, with a small `/tmp`.
    pub(super) const LIMITS: Limits = Limits {
        memory_mb: 256,
        cpu_percent: 25,
        disk_mb: 100,
        tmp_mb: 16,
        timeout_ms: 30_000,
        grace_ms: 2_000,
        tasks: 64,
        open_files: 256,
        file_mb: 100,
    };
}
