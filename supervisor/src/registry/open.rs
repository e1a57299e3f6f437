//! Opening the database: for reading, which changes nothing, and for writing.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::{FsFlags, statvfs};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::RegistryError;
use super::schema::{APPLICATION_ID, MIGRATIONS, VERSION};
use crate::state::private_dir;

/// How long a command waits for another one's transaction.
const BUSY: Duration = Duration::from_secs(10);

const MODE: u32 = 0o640;

/// Where the database is.
pub(super) fn path(state: &Path) -> PathBuf {
    state.join("registry.db")
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::File { action, path, source }
}

fn database(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(rusqlite::Error) -> RegistryError + use<> {
    let path = path.to_owned();
    move |source| RegistryError::Database { action, path, source }
}

/// Opens it for reading; `None` where there is none. Does not make or change the database. SQLite keeps an index of its log
/// in shared memory, so `registry.db-shm` and `registry.db-wal` may be made beside it.
///
/// On a file system that is mounted read-only they cannot be made. There nobody can write through this mount either, and the
/// database is read as it lies there, unless a log is left of somebody who did not close it: then what the database holds
/// is not the latest, and reading is refused.
pub(super) fn read(state: &Path) -> Result<Option<Connection>, RegistryError> {
    let path = path(state);
    if !is_there(&path)? {
        return Ok(None);
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if read_only(state)? {
        let wal = wal(&path);
        match fs::symlink_metadata(&wal) {
            Ok(left) if left.len() > 0 => {
                let reason = format!(
                    "the file system is read-only, and {} holds what was not written back",
                    wal.display()
                );
                let hint = "mount it writable once and run: sandboxctl ext list";
                return Err(RegistryError::Version { path, reason, hint });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file("read", &wal)(error));
            }
            _ => {}
        }
        flags |= OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(uri(&path), flags)
    } else {
        Connection::open_with_flags(&path, flags)
    };
    let connection = connection.map_err(database("open", &path))?;
    settle(&connection).map_err(database("open", &path))?;
    match version(&connection, &path)? {
        VERSION => Ok(Some(connection)),
        older => Err(RegistryError::Version {
            path,
            reason: format!("it has version {older}, and this program needs version {VERSION}"),
            hint: "any command that writes brings it up to date, for example: sandboxctl vuln scan --all",
        }),
    }
}

/// Opens it for writing, makes it where there is none, and brings it up to date.
pub(super) fn write(state: &Path) -> Result<Connection, RegistryError> {
    private_dir(state)?;
    let path = path(state);
    if !is_there(&path)? {
        create(state, &path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(&path, flags).map_err(database("open", &path))?;
    settle(&connection).map_err(database("open", &path))?;
    if version(&connection, &path)? < VERSION {
        migrate(&mut connection, &path)?;
    }
    Ok(connection)
}

/// Whether the database is there, and nobody but root could have written it.
fn is_there(path: &Path) -> Result<bool, RegistryError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Of a database that is gone. A new one beside it would be given what the old one's log holds.
            let wal = wal(path);
            if fs::symlink_metadata(&wal).is_ok_and(|left| left.len() > 0) {
                return Err(RegistryError::Version {
                    path: path.to_owned(),
                    reason: format!("it is missing, and its log {} is there", wal.display()),
                    hint: "nothing runs until it is put back; to start with an empty registry, move registry.db-wal and registry.db-shm away too",
                });
            }
            return Ok(false);
        }
        Err(error) => return Err(file("open", path)(error)),
    };
    let own = nix::unistd::geteuid().as_raw();
    let reason = if !metadata.is_file() {
        "it is no plain file".to_owned()
    } else if metadata.uid() != 0 && metadata.uid() != own {
        format!("it belongs to user id {}", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!("others can write it: its mode is {:o}", metadata.mode() & 0o7777)
    } else {
        return Ok(true);
    };
    Err(RegistryError::Unsafe { path: path.to_owned(), reason })
}

fn read_only(state: &Path) -> Result<bool, RegistryError> {
    let found = statvfs(state).map_err(|errno| file("read", state)(errno.into()))?;
    Ok(found.flags().contains(FsFlags::ST_RDONLY))
}

fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// <https://www.sqlite.org/uri.html>: nothing is locked, and no log is looked for.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(*byte));
            }
            other => {
                // Writing to a String cannot fail.
                write!(uri, "%{other:02x}").unwrap_or_default();
            }
        }
    }
    uri + "?immutable=1"
}

/// What holds for every connection: a schema that somebody tampered with cannot call functions, the file is never overwritten
/// by SQL, and damaged pages are found.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch(
        "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON;",
    )
}

/// The version of its tables; refuses what this program does not know.
fn version(connection: &Connection, path: &Path) -> Result<i32, RegistryError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let found = pragma("application_id").map_err(database("read", path))?;
    let refuse = |reason, hint| Err(RegistryError::Version { path: path.to_owned(), reason, hint });
    if found != APPLICATION_ID {
        return refuse(
            "it is no registry of sandboxctl".to_owned(),
            "the file is damaged or somebody else's: nothing runs until it is put back from a backup, or moved away to start with an empty registry",
        );
    }
    let found = pragma("user_version").map_err(database("read", path))?;
    if found > VERSION {
        return refuse(
            format!("it has version {found}, and this program knows versions up to {VERSION}"),
            "a newer sandboxctl has written it: use that one",
        );
    }
    Ok(found)
}

/// Makes the database under another name and links it into place when it is whole, so that an empty or half-made one under
/// the right name is always damage, and never taken for "nothing is registered".
fn create(state: &Path, path: &Path) -> Result<(), RegistryError> {
    let lock_path = state.join("registry.lock");
    let options = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
    };
    let lock = options(&lock_path).map_err(file("open", &lock_path))?;
    lock.lock().map_err(file("lock", &lock_path))?;
    if is_there(path)? {
        return Ok(());
    }
    let draft = state.join("registry.db.new");
    for left in [
        draft.clone(),
        wal(&draft),
        state.join("registry.db.new-shm"),
        state.join("registry.db.new-journal"),
    ] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file("remove", &left)(error));
            }
            _ => {}
        }
    }
    // SQLite gives its other files the mode of this one.
    options(&draft).map_err(file("create", &draft))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(&draft, flags).map_err(database("create", path))?;
    settle(&connection).map_err(database("create", path))?;
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(database("create", path))?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        .map_err(database("create", path))?;
    migrate(&mut connection, &draft)?;
    connection.close().map_err(|(_, source)| database("create", path)(source))?;
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    sync(&draft).map_err(file("write", &draft))?;
    fs::rename(&draft, path).map_err(file("create", path))?;
    sync(state).map_err(file("write", state))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), RegistryError> {
    let failed =
        |source| RegistryError::Database { action: "update", path: path.to_owned(), source };
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    // Another process may have done it meanwhile.
    let from = version(&transaction, path)?;
    let from = usize::try_from(from).map_err(|_| RegistryError::Version {
        path: path.to_owned(),
        reason: format!("its version is {from}"),
        hint: "the file is damaged",
    })?;
    for step in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    transaction.commit().map_err(failed)
}
