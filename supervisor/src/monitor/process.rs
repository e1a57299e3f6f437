//! Who made an attempt, from `/proc`.

use std::fs;

use policies::violation::Process;

/// Reads name, executable and user id of a thread. What cannot be read (it may be gone) stays empty. Whoever calls this must check
/// afterwards that the pid was not reused.
#[must_use]
pub fn read(pid: i32) -> Process {
    let mut process = Process { pid: Some(pid), ..Process::default() };
    // `status` and not `comm`: it has the real user id too, which the owner of `/proc/PID` is not once a process has
    // made itself undumpable.
    if let Ok(status) = fs::read(format!("/proc/{pid}/status")) {
        let status = String::from_utf8_lossy(&status);
        let mut lines = status.lines();
        process.comm = lines.find_map(|line| line.strip_prefix("Name:\t")).map(unescape);
        process.uid = lines
            .find_map(|line| line.strip_prefix("Uid:\t"))
            .and_then(|ids| ids.split_ascii_whitespace().next())
            .and_then(|id| id.parse().ok());
    }
    // Of a process in another mount namespace the kernel names the path from that namespace's root.
    process.exe = fs::read_link(format!("/proc/{pid}/exe"))
        .ok()
        .map(|path| path.to_string_lossy().into_owned());
    process
}

/// The kernel writes a newline as `\n` and a backslash as `\\` here (`proc_pid_status(5)`).
fn unescape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let me = i32::try_from(std::process::id()).expect("pid");
        let process = read(me);
        let comm = fs::read_to_string("/proc/self/comm").expect("comm");
        assert_eq!(process.comm.as_deref(), Some(comm.trim_end()));
        assert_eq!(process.uid, Some(nix::unistd::getuid().as_raw()));
        let exe = std::env::current_exe().expect("exe");
        assert_eq!(process.exe.as_deref(), exe.to_str());
        assert_eq!(read(i32::MAX), Process { pid: Some(i32::MAX), ..Process::default() });
    }

    #[test]
    fn names_are_unescaped() {
        assert_eq!(unescape("a\\nb\\\\c"), "a\nb\\c");
    }
}
