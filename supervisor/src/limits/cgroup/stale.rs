//! What a dead run left behind: its processes are killed, its groups removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Pid;

use super::layout::Layout;
use super::{LimitError, file};

/// How often the processes are killed again before giving up, each time after [`PAUSE`]: 500 ms in all.
const ROUNDS: u32 = 250;
const PAUSE: Duration = Duration::from_millis(2);

/// Clears the groups called `name` that a dead run left, in this layout and in `noted`: directories that the run noted
/// down (see [`Groups::dirs`](super::Groups::dirs)), as it may have run in another session's group. Returns what was
/// removed. The caller owns the name: nothing alive may use it.
pub fn clear_stale<'a>(
    layout: &Layout,
    name: &str,
    noted: impl IntoIterator<Item = &'a Path>,
) -> Result<Vec<PathBuf>, LimitError> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(v2) = &layout.v2 {
        // First, as killing by the v2 group empties the v1 groups too. The group may lie beneath any ancestor.
        let above = v2.own.ancestors().take_while(|group| group.starts_with(&v2.mount));
        dirs.extend(above.map(|group| group.join(name)));
    }
    dirs.extend(layout.v1.iter().map(|hierarchy| hierarchy.parent.join(name)));
    // A note is text from disk: it may only ever name a cgroup of this very name.
    dirs.extend(
        noted
            .into_iter()
            .filter(|dir| dir.file_name().is_some_and(|last| last == name) && is_cgroup(dir))
            .map(Path::to_owned),
    );
    let mut removed = Vec::new();
    for dir in dirs {
        if dir.is_dir() {
            clear(&dir).map_err(|source| LimitError::Stale { path: dir.clone(), source })?;
            removed.push(dir);
        }
    }
    Ok(removed)
}

fn is_cgroup(dir: &Path) -> bool {
    statfs(dir).is_ok_and(|stat| {
        [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&stat.filesystem_type())
    })
}

/// Kills everything in one group and removes it.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            clear(&entry.path())?;
        }
    }
    let mut result = Ok(());
    for _ in 0..ROUNDS {
        kill_all(dir)?;
        result = fs::remove_dir(dir);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
            _ => break,
        }
    }
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// SIGKILL to every process in the group, by `cgroup.kill` where there is one. A frozen group dies too.
fn kill_all(dir: &Path) -> io::Result<()> {
    if file::write(&dir.join("cgroup.kill"), "1").is_ok() {
        return Ok(());
    }
    let pids = match fs::read_to_string(dir.join("cgroup.procs")) {
        // A member that is another's thread group in a namespace we cannot see reads as 0.
        Ok(pids) => pids,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for pid in pids.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid > 1) {
        if pid.cast_unsigned() == std::process::id() {
            return Err(io::Error::other("this process is in it"));
        }
        // Already dead is what was wanted.
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
