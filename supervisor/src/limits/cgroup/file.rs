//! Reading and writing the small text files of a cgroup.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Writes one value. Never creates the file: on cgroupfs that turns "no such file" into a permission error.
pub(super) fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    // One write(2): the kernel parses each call on its own.
    file.write_all(value.as_bytes())
}

/// A file that is opened at its first reading and then kept, so that a sample costs one pread(2).
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: OnceCell<Option<File>>,
}

impl Kept {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: OnceCell::new() }
    }

    /// The file, where this kernel has it.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.get_or_init(|| File::open(&self.path).ok()).as_ref()
    }

    /// Calls `parse` with the text. `None` where the kernel has no such file or it cannot be read.
    fn with<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        // The longest file read here is cpu.stat, below 300 bytes on every kernel up to 6.18.
        let mut buffer = [0_u8; 1024];
        let length = self.file()?.read_at(&mut buffer, 0).ok()?;
        parse(std::str::from_utf8(buffer.get(..length)?).ok()?)
    }

    /// The single number that the file holds; `None` for `max` too.
    pub(super) fn number(&self) -> Option<u64> {
        self.with(|text| text.trim_end().parse().ok())
    }

    /// The values of the named lines of a flat keyed file, in one reading.
    pub(super) fn fields<const N: usize>(&self, keys: [&str; N]) -> [Option<u64>; N] {
        self.with(|text| Some(keys.map(|key| field(text, key)))).unwrap_or([None; N])
    }
}

/// The value of the line `key value`.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .and_then(|value| value.trim_end().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_matched_whole() {
        let text = "oom 1\noom_kill 2\noom_group_kill 3\n";
        assert_eq!(field(text, "oom"), Some(1));
        assert_eq!(field(text, "oom_kill"), Some(2));
        assert_eq!(field(text, "kill"), None);
    }

    #[test]
    fn a_missing_file_reads_as_nothing() {
        let kept = Kept::new("/proc/self/no-such-file".into());
        assert_eq!(kept.number(), None);
        assert_eq!(kept.fields(["a", "b"]), [None, None]);
    }

    #[test]
    fn writing_never_creates() {
        let path = std::env::temp_dir().join("sandboxctl-no-such-control-file");
        let error = write(&path, "1").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
    }
}
