//! The image file: made, checked and resized by the programs of e2fsprogs.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DataError, INSIDE_ID, Place, lock};

/// Block size of filesystem and loop device, in bytes; the device's must not be the larger one.
pub(super) const BLOCK: u32 = 4096;
/// Where Debian, and systems with a merged /usr, keep them. Not `PATH`: it belongs to whoever called us.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
const PROGRAMS: [&str; 3] = ["mkfs.ext4", "e2fsck", "resize2fs"];
/// In MiB: the least that ext4 takes. The same for every size, so that a resized image has the room of a new one.
const JOURNAL_MB: u64 = 4;

/// The programs that persistent data needs and this host lacks.
#[must_use]
pub fn missing_tools() -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| find(program).is_err()).collect()
}

fn find(program: &'static str) -> Result<PathBuf, DataError> {
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
        .ok_or(DataError::Tool { program })
}

/// Length of an image in which `size_mb` MiB can be used, in MiB.
///
/// Beside the journal, ext4 takes 1/64 for inodes (256 bytes for every 16 KiB) and keeps back 2 %, at most 16 MiB, for
/// its own metadata; 2 MiB more hold group descriptors, bitmaps and the first directory. Below 11 MiB it refuses the journal.
pub(super) fn length_mb(size_mb: u64) -> u64 {
    let base = size_mb.saturating_add(JOURNAL_MB + 2);
    let kept_back = (base / 49 + 1).min(16);
    base.saturating_add(kept_back).saturating_add(base / 62 + 1)
}

/// Opens an image; `None` if there is none.
pub(super) fn open(path: &Path, write: bool) -> Result<Option<File>, DataError> {
    let file = File::options().read(true).write(write).custom_flags(libc::O_NOFOLLOW).open(path);
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataError::file("open", path)(source)),
    }
}

/// Makes an image that can hold `size_mb` MiB, locked. It gets its name only when it is whole.
pub(super) fn create(place: &Place, size_mb: u64) -> Result<File, DataError> {
    let temporary = place.image.with_extension("img.tmp");
    // Of a supervisor that died here; the lock says that nobody else is at it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DataError::file("remove", &temporary)(error));
        }
        _ => {}
    }
    let made = make(place, &temporary, size_mb);
    if made.is_err() {
        // The first failure is the one to tell; the next attempt removes what stayed.
        drop(fs::remove_file(&temporary));
    }
    made
}

fn make(place: &Place, temporary: &Path, size_mb: u64) -> Result<File, DataError> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(DataError::file("create", temporary))?;
    lock::hold(place, &file)?;
    file.set_len(length_mb(size_mb) << 20).map_err(DataError::file("size", temporary))?;
    let block = BLOCK.to_string();
    let journal = format!("size={JOURNAL_MB}");
    let extended = format!(
        "root_owner={INSIDE_ID}:{INSIDE_ID},lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    );
    let options = [
        "-q", "-F", "-b", &block, "-m", "0", "-i", "16384", "-I", "256", "-J", &journal, "-E",
        &extended,
    ];
    run("make the filesystem of", "mkfs.ext4", &options, temporary, &[], &[0])?;
    fs::rename(temporary, &place.image).map_err(DataError::file("rename", temporary))?;
    Ok(file)
}

/// Repairs what can be repaired without questions.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    // 1: errors corrected.
    run("check", "e2fsck", &["-f", "-p"], path, &[], &[0, 1]).map(drop)
}

/// Brings an image to the length for `size_mb` MiB, if it has another.
pub(super) fn resize(path: &Path, file: &File, size_mb: u64) -> Result<(), DataError> {
    let wanted = length_mb(size_mb) << 20;
    let length = file.metadata().map_err(DataError::file("read the size of", path))?.len();
    if length == wanted {
        return Ok(());
    }
    check(path)?;
    if length < wanted {
        file.set_len(wanted).map_err(DataError::file("grow", path))?;
        return run("grow", "resize2fs", &[], path, &[], &[0]).map(drop);
    }
    let least = least_mb(path)?;
    if least > length_mb(size_mb) {
        return Err(DataError::Shrink { path: path.to_owned(), size_mb });
    }
    let size = format!("{}M", length_mb(size_mb));
    run("shrink", "resize2fs", &[], path, &[&size], &[0])?;
    file.set_len(wanted).map_err(DataError::file("shrink", path))
}

/// The length to which an image can be shrunk, in MiB.
fn least_mb(path: &Path) -> Result<u64, DataError> {
    let output = run("measure", "resize2fs", &["-P"], path, &[], &[0])?;
    let blocks = output.rsplit(':').next().and_then(|number| number.trim().parse::<u64>().ok());
    blocks.map(|blocks| (blocks * u64::from(BLOCK)).div_ceil(1 << 20)).ok_or_else(|| {
        let message = format!("unexpected answer {output:?}");
        DataError::Program { step: "measure", path: path.to_owned(), program: "resize2fs", message }
    })
}

fn run(
    step: &'static str,
    program: &'static str,
    options: &[&str],
    path: &Path,
    arguments: &[&str],
    good: &[i32],
) -> Result<String, DataError> {
    let failed =
        |message: String| DataError::Program { step, path: path.to_owned(), program, message };
    let output = Command::new(find(program)?)
        .args(options)
        .arg(path)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.code().is_some_and(|code| good.contains(&code)) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(failed(last.map_or_else(|| output.status.to_string(), ToOwned::to_owned)))
}
