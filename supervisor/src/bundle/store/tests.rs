//! On real folders; they need root, because only what is root's is trusted.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::stat::{Mode, makedev, mknod};
use policies::files::FileList;
use semver::Version;

use super::*;
use crate::bundle::archive;
use crate::bundle::digest::sha256;
use crate::bundle::listed::scan;

/// A folder of its own, with a bundle and a store in it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "needs root: the store is root's");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sandboxctl-store-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(dir.join("bundle/lib")).unwrap();
        fs::write(dir.join("bundle/extension.toml"), "[extension]\n").unwrap();
        fs::write(dir.join("bundle/lib/main"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(dir.join("bundle/lib/main"), fs::Permissions::from_mode(0o700))
            .unwrap();
        Self(dir)
    }

    fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.bundle().join(name)
    }

    fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn source(&self) -> Source {
        Source::open(&self.bundle()).unwrap()
    }

    fn scan(&self) -> Result<FileList, FilesError> {
        let Source::Folder(dir) = self.source() else { unreachable!() };
        scan(dir.as_fd(), "acme.hello", &Version::new(1, 0, 0))
    }

    /// Writes the list of the folder as it is.
    fn list(&self) -> Digest {
        let bytes = self.scan().unwrap().render();
        fs::write(self.file("MANIFEST"), &bytes).unwrap();
        sha256(&bytes)
    }

    /// What the store has, by name.
    fn names(&self) -> Vec<String> {
        let mut names = self.store().names().unwrap();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn codes(error: &IngestError) -> Vec<(&str, &str)> {
    let IngestError::Files(FilesError::Faults(faults)) = error else { panic!("{error}") };
    let listed = faults.listed().iter();
    listed.map(|fault| (fault.path.as_str(), fault.what.code())).collect()
}

#[test]
fn a_folder_gets_in_as_it_is_listed_and_is_sealed() {
    let place = Place::new();
    let digest = place.list();
    let store = place.store();
    assert!(store.get(&digest).unwrap().is_none());
    let stored = store.ingest(&place.source()).unwrap();
    assert_eq!(*stored.digest(), digest);
    assert_eq!(place.names(), [digest.to_string()]);
    let dir = store.path_of(&digest);
    for (path, mode) in [
        ("", 0o040_555),
        ("lib", 0o040_555),
        ("lib/main", 0o100_555),
        ("extension.toml", 0o100_444),
        ("MANIFEST", 0o100_444),
    ] {
        let metadata = fs::symlink_metadata(dir.join(path)).unwrap();
        assert_eq!((metadata.mode(), metadata.uid(), metadata.gid()), (mode, 0, 0), "{path}");
    }
    assert_eq!(fs::read(dir.join("lib/main")).unwrap(), b"#!/bin/sh\n");
    // It is found there, by its digest and by another ingest.
    assert_eq!(store.get(&digest).unwrap().unwrap().statement, stored.statement);
    assert_eq!(store.ingest(&place.source()).unwrap().statement, stored.statement);
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn an_archive_and_its_folder_are_one_bundle() {
    let place = Place::new();
    let digest = place.list();
    let Source::Folder(dir) = place.source() else { unreachable!() };
    let listed = Listed::read(dir.as_fd()).unwrap().unwrap();
    let packed = archive::write(dir.as_fd(), &listed, Vec::new()).unwrap();
    assert_eq!(archive::write(dir.as_fd(), &listed, Vec::new()).unwrap(), packed);
    fs::write(place.0.join("x.sbx"), packed).unwrap();
    let source = Source::open(&place.0.join("x.sbx")).unwrap();
    assert_eq!(source.inspect(&mut archive::Discard).unwrap(), listed);
    let store = place.store();
    assert!(place.names().is_empty());
    let stored = store.ingest(&source).unwrap();
    assert_eq!((*stored.digest(), stored.listed().unwrap()), (digest, listed));
    let file = fs::read(store.path_of(&digest).join("lib/main")).unwrap();
    assert_eq!(file, b"#!/bin/sh\n");
    // Again, from both.
    store.ingest(&source).unwrap();
    store.ingest(&place.source()).unwrap();
    assert_eq!(place.names(), [digest.to_string()]);
    assert_eq!(store.verify(true).unwrap().len(), 1);
}

#[test]
fn every_difference_is_named_and_nothing_is_stored() {
    let place = Place::new();
    fs::write(place.file("gone"), "x").unwrap();
    fs::write(place.file("flipped"), "abc").unwrap();
    fs::write(place.file("longer"), "abc").unwrap();
    fs::write(place.file("program"), "abc").unwrap();
    place.list();
    fs::remove_file(place.file("gone")).unwrap();
    fs::write(place.file("flipped"), "abd").unwrap();
    fs::write(place.file("longer"), "abcd").unwrap();
    fs::write(place.file("lib/more"), "").unwrap();
    fs::set_permissions(place.file("program"), fs::Permissions::from_mode(0o755)).unwrap();
    let store = place.store();
    let error = store.ingest(&place.source()).unwrap_err();
    let expected = [
        ("flipped", "file-content-differs"),
        ("gone", "file-missing"),
        ("lib/more", "file-unlisted"),
        ("longer", "file-size-differs"),
        ("program", "file-mode-differs"),
    ];
    assert_eq!(codes(&error), expected);
    assert!(error.hint().is_some() && !error.is_of_the_host());
    assert!(place.names().is_empty());
    // Of a thousand, a hundred are named and the others counted.
    for number in 0..1000 {
        fs::write(place.file(&format!("lib/{number}")), "").unwrap();
    }
    let error = store.ingest(&place.source()).unwrap_err();
    let IngestError::Files(FilesError::Faults(faults)) = &error else { panic!("{error}") };
    assert_eq!((faults.listed().len(), faults.more()), (100, 905));
    assert!(error.to_string().contains("905 more"), "{error}");
}

#[test]
fn what_no_bundle_can_have_is_refused_each_by_its_name() {
    let place = Place::new();
    let secret = place.0.join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, place.file("link")).unwrap();
    symlink("lib", place.file("folder-link")).unwrap();
    fs::hard_link(&secret, place.file("twice")).unwrap();
    nix::unistd::mkfifo(&place.file("fifo"), Mode::S_IRWXU).unwrap();
    let null = makedev(1, 3);
    mknod(&place.file("device"), SFlag::S_IFCHR, Mode::S_IRWXU, null).unwrap();
    let disk = makedev(7, 99);
    mknod(&place.file("disk"), SFlag::S_IFBLK, Mode::S_IRWXU, disk).unwrap();
    let _listener = UnixListener::bind(place.file("socket")).unwrap();
    for (name, mode) in [("root", 0o4755), ("group", 0o2755)] {
        fs::write(place.file(name), "").unwrap();
        fs::set_permissions(place.file(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(place.file("two words"), "").unwrap();
    fs::write(place.file("\u{202e}txt"), "").unwrap();
    fs::write(place.file("-rf"), "").unwrap();
    fs::write(place.file("LIB"), "").unwrap();
    fs::write(place.file("manifest"), "").unwrap();
    let huge = File::create(place.file("huge")).unwrap();
    huge.set_len((2 << 30) + 1).unwrap();
    let deep = place.file(&"d/".repeat(40));
    fs::create_dir_all(deep).unwrap();
    let error = IngestError::Files(place.scan().unwrap_err());
    let mut expected = [
        ("-rf", "path-leading-dash"),
        ("lib/main", "path-case-clash"),
        (r"\xe2\x80\xaetxt", "path-character"),
        ("device", "file-device"),
        ("disk", "file-device"),
        ("fifo", "file-fifo"),
        ("folder-link", "file-symlink"),
        ("group", "file-set-id"),
        ("huge", "file-too-large"),
        ("link", "file-symlink"),
        ("manifest", "path-case-clash"),
        ("root", "file-set-id"),
        ("socket", "file-socket"),
        ("twice", "file-hard-link"),
        ("two words", "path-character"),
    ];
    expected.sort_unstable();
    let mut found = codes(&error);
    let deep: Vec<_> = found.extract_if(.., |(_, code)| *code == "path-too-deep").collect();
    assert_eq!(deep.len(), 1);
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn lists_and_signatures_are_read_strictly() {
    let place = Place::new();
    let store = place.store();
    let code = || store.ingest(&place.source()).unwrap_err().code();
    assert_eq!(code(), "list-missing");
    fs::write(place.file("MANIFEST.p7s"), "signature").unwrap();
    assert_eq!(code(), "signature-alone");
    fs::write(place.file("MANIFEST"), "sandboxctl-manifest 1\n").unwrap();
    assert_eq!(code(), "list-id");
    place.list();
    fs::write(place.file("MANIFEST.p7s"), vec![0; (64 << 10) + 1]).unwrap();
    assert_eq!(code(), "signature-too-large");
    fs::remove_file(place.file("MANIFEST.p7s")).unwrap();
    fs::rename(place.file("MANIFEST"), place.0.join("elsewhere")).unwrap();
    symlink("../elsewhere", place.file("MANIFEST")).unwrap();
    assert_eq!(code(), "file-symlink");
    fs::remove_file(place.file("MANIFEST")).unwrap();
    nix::unistd::mkfifo(&place.file("MANIFEST"), Mode::S_IRWXU).unwrap();
    assert_eq!(code(), "file-fifo");
    assert!(place.names().is_empty());
}

#[test]
fn a_signature_is_added_and_replaced_and_changes_no_file() {
    let place = Place::new();
    let digest = place.list();
    let store = place.store();
    assert_eq!(store.ingest(&place.source()).unwrap().statement.p7s, None);
    fs::write(place.file("MANIFEST.p7s"), "first").unwrap();
    let stored = store.ingest(&place.source()).unwrap();
    assert_eq!(stored.statement.p7s.as_deref(), Some(&b"first"[..]));
    // A later one is the source's alone, until somebody puts it there.
    fs::write(place.file("MANIFEST.p7s"), "second").unwrap();
    let mut stored = store.ingest(&place.source()).unwrap();
    assert_eq!(stored.statement.p7s.as_deref(), Some(&b"second"[..]));
    let kept = || store.get(&digest).unwrap().unwrap().statement.p7s.unwrap();
    assert_eq!(kept(), b"first");
    store.put_signature(&mut stored, b"second").unwrap();
    assert_eq!(kept(), b"second");
    assert!(store.verify(true).unwrap()[0].damage.is_none());
    assert_eq!(place.names(), [digest.to_string()]);
}

#[test]
fn gc_takes_what_nobody_needs_and_leaves_the_rest() {
    let place = Place::new();
    let store = place.store();
    let first = place.list();
    drop(store.ingest(&place.source()).unwrap());
    fs::write(place.file("more"), "2").unwrap();
    let second = place.list();
    let used = store.ingest(&place.source()).unwrap();
    fs::write(place.file("more"), "3").unwrap();
    let third = place.list();
    drop(store.ingest(&place.source()).unwrap());
    // Of a killed process, and of one that lives.
    let dead = place.0.join("store/.tmp-1-0");
    fs::create_dir_all(dead.join("sub")).unwrap();
    fs::write(dead.join("sub/file"), "").unwrap();
    fs::write(place.0.join("store/.tmp-sig-1-0"), "").unwrap();
    let live = staging::Staging::new(&store).unwrap();
    let collected = store.gc(&BTreeSet::from([third])).unwrap();
    assert_eq!((collected.removed, collected.in_use), (vec![first], vec![second]));
    assert_eq!(collected.unfinished, 2);
    let unfinished = place.names().into_iter().filter(|name| name.starts_with(".tmp")).count();
    assert_eq!(unfinished, 1);
    drop(live);
    drop(used);
    let collected = store.gc(&BTreeSet::from([third])).unwrap();
    assert_eq!((collected.removed, collected.unfinished), (vec![second], 0));
    assert_eq!(place.names(), [third.to_string()]);
}

type Harm = fn(&Path);

#[test]
fn damage_is_found_and_healed() {
    let place = Place::new();
    let digest = place.list();
    let store = place.store();
    let dir = store.path_of(&digest);
    // Of what a launch takes notice, and an ingest, and of what `verify` alone.
    let harms: [(bool, bool, Harm); 6] = [
        (true, true, |dir| fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap()),
        (true, true, |dir| {
            std::os::unix::fs::chown(dir.join("MANIFEST"), Some(1000), None).unwrap();
        }),
        (true, true, |dir| fs::write(dir.join("MANIFEST"), "sandboxctl-manifest 1\n").unwrap()),
        (false, true, |dir| fs::write(dir.join("lib/more"), "").unwrap()),
        (false, true, |dir| {
            fs::set_permissions(dir.join("lib/main"), fs::Permissions::from_mode(0o777)).unwrap();
        }),
        (false, false, |dir| fs::write(dir.join("lib/main"), "#!/bin/no\n").unwrap()),
    ];
    let damaged = |deep| store.verify(deep).unwrap().iter().any(|one| one.damage.is_some());
    for (at_launch, at_ingest, harm) in harms {
        drop(store.ingest(&place.source()).unwrap());
        assert!(!damaged(true));
        harm(&dir);
        assert_eq!(store.get(&digest).is_err(), at_launch);
        if at_ingest {
            store.ingest(&place.source()).unwrap();
            assert!(!damaged(true));
            harm(&dir);
        }
        assert_eq!(damaged(false), at_ingest);
        assert!(at_ingest || damaged(true));
        // It cannot be run any more, and comes back whole.
        assert!(store.get(&digest).unwrap().is_none());
        store.ingest(&place.source()).unwrap();
        assert!(!damaged(true));
        store.gc(&BTreeSet::new()).unwrap();
        assert!(place.names().is_empty());
    }
}

#[test]
fn ingests_at_once_make_one_bundle() {
    let place = Place::new();
    fs::write(place.file("large"), vec![7; 3 << 20]).unwrap();
    let digest = place.list();
    for _ in 0..5 {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let stored = place.store().ingest(&place.source()).unwrap();
                    assert_eq!(*stored.digest(), digest);
                });
            }
            // Somebody clears up meanwhile.
            scope.spawn(|| place.store().gc(&BTreeSet::from([digest])).unwrap());
        });
        assert_eq!(place.names(), [digest.to_string()]);
        assert!(place.store().verify(true).unwrap()[0].damage.is_none());
        place.store().gc(&BTreeSet::new()).unwrap();
    }
}

struct Stop<'a>(&'a AtomicU32);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

/// Whatever is done to a source while it is read: what gets into the store is what the list says.
#[test]
fn a_race_with_the_source_is_lost_by_it() {
    let place = Place::new();
    let (good, evil) = (vec![b'g'; 300_000], vec![b'e'; 300_000]);
    fs::write(place.file("lib/data"), &good).unwrap();
    let digest = place.list();
    fs::write(place.0.join("evil"), &evil).unwrap();
    let (over, started) = (AtomicU32::new(0), AtomicU32::new(0));
    let (mut refused, mut stored) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (data, aside) = (place.file("lib/data"), place.file("lib/aside"));
            let pause = || std::thread::sleep(Duration::from_micros(300));
            let inside = File::options().write(true).open(&data).unwrap();
            while over.load(Ordering::Relaxed) == 0 {
                inside.write_all_at(&evil, 0).unwrap();
                pause();
                inside.write_all_at(&good, 0).unwrap();
                // Good for a while, so that it can be stored.
                pause();
                pause();
                fs::rename(&data, &aside).unwrap();
                symlink(place.0.join("evil"), &data).unwrap();
                fs::rename(&aside, &data).unwrap();
                fs::rename(place.file("lib"), place.0.join("away")).unwrap();
                fs::rename(place.0.join("away"), place.file("lib")).unwrap();
                started.store(1, Ordering::Relaxed);
            }
        });
        // Also where an assertion fails: the scope waits for the other thread.
        let _stop = Stop(&over);
        while started.load(Ordering::Relaxed) == 0 {}
        let store = place.store();
        for _ in 0..400 {
            match store.ingest(&place.source()) {
                Ok(bundle) => {
                    stored += 1;
                    assert_eq!(*bundle.digest(), digest);
                    let data = fs::read(store.path_of(&digest).join("lib/data")).unwrap();
                    assert!(data == good, "the store has what was not listed");
                }
                Err(IngestError::Files(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(store.verify(true).unwrap().iter().all(|health| health.damage.is_none()));
            store.gc(&BTreeSet::new()).unwrap();
        }
    });
    assert!(refused > 0 && stored > 0, "no race: {stored} were stored, {refused} refused");
    assert!(place.names().is_empty());
}

#[test]
fn a_store_that_others_can_write_to_is_not_used() {
    let place = Place::new();
    drop(place.store());
    let path = place.0.join("store");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Store::open(&place.0), Err(StoreError::NotOurs { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&path, Some(1000), None).unwrap();
    assert!(Store::open(&place.0).unwrap_err().hint().is_some());
}
