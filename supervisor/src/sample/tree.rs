//! Which processes a sandbox consists of.

use std::fs;

/// The processes beneath `root`, without it, parents first.
///
/// `root` is the init of the sandbox's pid namespace: what was orphaned is its child, so nothing escapes by forking twice
/// or by leaving its session. Processes come and go meanwhile; what was there all the time is found.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    let mut found = Vec::new();
    children(root, &mut found);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        children(pid, &mut found);
        next += 1;
        // A pid that was reused meanwhile could close a circle; no sandbox has this many tasks.
        if next > 100_000 {
            break;
        }
    }
    found
}

/// The children of every thread: each thread has those that it forked.
///
/// # References
/// [`proc_pid_task(5)`](https://man7.org/linux/man-pages/man5/proc_pid_task.5.html)
fn children(pid: i32, found: &mut Vec<i32>) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        // Read to the end: one read(2) gives at most a page.
        let Ok(text) = fs::read_to_string(thread.path().join("children")) else { continue };
        found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
}
