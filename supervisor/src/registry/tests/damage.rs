//! Databases that must not be believed.

use std::os::unix::fs::symlink;

use super::*;

fn opened(place: &Place) -> Result<(), RegistryError> {
    let registry = Registry::open(&place.state())?;
    registry.facts("acme.x", None, &Version::new(1, 0, 0), SystemTime::now()).map(|_| ())
}

fn database(place: &Place) -> PathBuf {
    place.state().join("registry.db")
}

#[test]
fn what_cannot_be_believed_is_an_error_for_readers_and_writers() {
    type Break = fn(&Path);
    let cases: [(&str, Break, &str); 8] = [
        ("empty", |path| fs::write(path, "").unwrap(), "no registry of sandboxctl"),
        ("text", |path| fs::write(path, "x".repeat(9000)).unwrap(), "not a database"),
        (
            "cut off",
            |path| fs::File::options().write(true).open(path).unwrap().set_len(5000).unwrap(),
            "malformed",
        ),
        (
            "newer",
            |path| {
                let connection = Connection::open(path).unwrap();
                connection.pragma_update(None, "user_version", 99).unwrap();
            },
            "version 99",
        ),
        (
            "somebody else's",
            |path| {
                let connection = Connection::open(path).unwrap();
                connection.pragma_update(None, "application_id", 1).unwrap();
            },
            "no registry of sandboxctl",
        ),
        (
            "writable by others",
            |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap(),
            "others can write it",
        ),
        (
            "a link",
            |path| {
                let other = path.with_extension("other");
                fs::rename(path, &other).unwrap();
                symlink(other, path).unwrap();
            },
            "no plain file",
        ),
        (
            "a word that nobody knows",
            |path| {
                let connection = Connection::open(path).unwrap();
                connection.execute_batch("PRAGMA ignore_check_constraints=ON").unwrap();
                connection.execute("UPDATE extensions SET state = 'maybe'", []).unwrap();
            },
            "no word of this program",
        ),
    ];
    for (index, (name, break_it, says)) in cases.into_iter().enumerate() {
        let place = Place::new(&format!("damage{index}"));
        place.registered("acme.x");
        opened(&place).unwrap();
        break_it(&database(&place));
        let error = opened(&place).unwrap_err();
        assert!(error.to_string().contains(says), "{name}: {error}");
        let error = Editor::open(&place.state(), "tester")
            .and_then(|mut editor| editor.disable("acme.x", ""));
        assert!(error.is_err(), "{name}");
    }
}

#[test]
fn only_its_owner_may_own_it() {
    let place = Place::new("owner");
    place.registered("acme.x");
    std::os::unix::fs::chown(database(&place), Some(12345), None).unwrap();
    let error = opened(&place).unwrap_err();
    assert!(error.to_string().contains("belongs to user id 12345"), "{error}");
}

/// The log of a database that is gone must not become that of a new one.
#[test]
fn a_missing_database_with_a_log_is_damage() {
    let place = Place::new("log");
    place.registered("acme.x");
    fs::remove_file(database(&place)).unwrap();
    fs::write(place.state().join("registry.db-wal"), "left").unwrap();
    let error = opened(&place).unwrap_err();
    assert!(error.to_string().contains("its log"), "{error}");
    assert!(Editor::open(&place.state(), "tester").is_err());
    fs::remove_file(place.state().join("registry.db-wal")).unwrap();
    opened(&place).unwrap();
}

/// A crash while it is made leaves nothing under its name.
#[test]
fn a_half_made_database_is_made_anew() {
    let place = Place::new("half");
    fs::create_dir(place.state()).unwrap();
    fs::write(place.state().join("registry.db.new"), "half").unwrap();
    fs::write(place.state().join("registry.db.new-wal"), "half").unwrap();
    opened(&place).unwrap();
    place.registered("acme.x");
    assert!(!place.state().join("registry.db.new").exists());
    assert_eq!(place.state_of("acme.x"), State::Enabled);
}
