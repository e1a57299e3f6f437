//! A log that somebody has been at.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::tests::{TempDir, assert_whole, event, subject};
use super::super::{AuditLog, Event, EventType, Settings, checkpoint, prune, seal};
use super::*;

const DAY: Duration = Duration::from_hours(24);

/// Midnight of a day long ago.
fn day(number: u32) -> SystemTime {
    UNIX_EPOCH + DAY * (19_000 + number) + Duration::from_hours(1)
}

fn at(when: SystemTime, n: u32) -> Event {
    let data = serde_json::json!({ "n": n });
    Event::new(EventType::Violation, policies::violation::Severity::Info, when, &data)
        .expect("event")
}

/// A log of `days` segments with three events each, all but the last closed and sealed.
fn log_of(dir: &Path, days: u32) -> AuditLog {
    let mut log = AuditLog::open(dir, &subject("one")).expect("open");
    for number in 0..days {
        for n in 0..3 {
            log.append_at(&[at(day(number), n)], || day(number)).expect("append");
        }
        if log.take_rotated() {
            let sealed = seal::seal(&mut log, || day(number)).expect("seal");
            assert!(sealed.iter().all(|sealed| sealed.problem.is_none()), "{sealed:?}");
        }
    }
    log
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = snapshot(dir).expect("snapshot").0;
    files.into_iter().map(|file| dir.join(file.name)).collect()
}

fn codes(dir: &Path) -> BTreeSet<&'static str> {
    let verified = verify(dir, &Options::default()).expect("verify");
    assert_eq!(verified.ok, verified.problems.is_empty());
    verified.problems.iter().map(|problem| problem.code.text()).collect()
}

fn edit_lines(path: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    fs::write(path, lines.join("\n") + "\n").expect("write");
}

#[test]
fn every_flipped_byte_is_found() {
    let dir = TempDir::new("flip");
    drop(log_of(&dir.0, 2));
    assert_whole(&dir.0);
    // The chain by itself: no checkpoint covers the last segment.
    let mut flipped = 0;
    for path in segments(&dir.0) {
        flipped += flip_each(&dir.0, &path);
    }
    checkpoint::make(&dir.0, None, day(1)).expect("checkpoint");
    let kept = checkpoint::all(&dir.0).expect("checkpoints");
    assert_eq!(kept.len(), 2);
    for (name, _) in kept {
        flipped += flip_each(&dir.0, &dir.0.join(name));
    }
    assert!(flipped > 5000, "{flipped}");
    assert_whole(&dir.0);
}

/// Changes each byte of a file, and puts it back; each change has to be found.
fn flip_each(dir: &Path, path: &Path) -> usize {
    let whole = fs::read(path).expect("read");
    let mut flipped = 0;
    for place in 0..whole.len() {
        for mask in [0x01, [0x20, 0x80][place % 2]] {
            let mut bytes = whole.clone();
            bytes[place] ^= mask;
            fs::write(path, &bytes).expect("write");
            assert!(
                !codes(dir).is_empty(),
                "byte {place} of {} flipped by {mask:#x}: {}",
                path.display(),
                String::from_utf8_lossy(&bytes)
            );
            flipped += 1;
        }
    }
    fs::write(path, &whole).expect("write");
    flipped
}

#[test]
fn each_kind_of_tampering_has_its_code() {
    type Act = fn(&Path, &[PathBuf]);
    let kinds: [(&str, Act, &[&str]); 13] = [
        (
            "a changed word",
            |_, files| edit_lines(&files[0], |lines| lines[2] = lines[2].replace("INFO", "info")),
            &["hash-mismatch"],
        ),
        (
            "a removed line",
            |_, files| edit_lines(&files[0], |lines| drop(lines.remove(2))),
            &["lines-missing"],
        ),
        (
            "two lines swapped",
            |_, files| edit_lines(&files[0], |lines| lines.swap(1, 2)),
            &["lines-missing", "out-of-order"],
        ),
        (
            "a line twice",
            |_, files| edit_lines(&files[0], |lines| lines.insert(3, lines[2].clone())),
            &["out-of-order"],
        ),
        (
            "a line of somebody's own",
            |_, files| edit_lines(&files[0], |lines| lines.insert(2, "{\"seq\":2}".to_owned())),
            &["malformed-line"],
        ),
        (
            "an empty line",
            |_, files| edit_lines(&files[0], |lines| lines.insert(2, String::new())),
            &["malformed-line"],
        ),
        (
            "a segment cut off at a line",
            |_, files| edit_lines(&files[0], |lines| drop(lines.pop())),
            &["checkpoint-mismatch", "segment-link"],
        ),
        (
            "a segment removed",
            |_, files| fs::remove_file(&files[1]).unwrap(),
            &["segment-missing", "segment-link", "checkpoint-mismatch"],
        ),
        (
            "the first segment removed",
            |_, files| fs::remove_file(&files[0]).unwrap(),
            &["segment-missing"],
        ),
        (
            "the last segment removed",
            |_, files| fs::remove_file(&files[2]).unwrap(),
            &["segment-missing", "truncated"],
        ),
        (
            "a header replaced by another's",
            |_, files| {
                let other = fs::read_to_string(&files[0]).unwrap();
                edit_lines(&files[1], |lines| {
                    other.lines().next().unwrap().clone_into(&mut lines[0]);
                });
            },
            &["lines-missing", "segment-header", "segment-link"],
        ),
        (
            "a checkpoint removed",
            |dir, files| {
                let name = files[0].file_name().unwrap().to_str().unwrap();
                fs::remove_file(dir.join(checkpoint::name_of(name))).unwrap();
            },
            &["checkpoint-missing"],
        ),
        (
            "a checkpoint without a signature",
            |dir, _| fs::write(dir.join(checkpoint::HEAD), "sandboxctl/audit/1\n9\n").unwrap(),
            &["checkpoint-malformed"],
        ),
    ];
    for (name, act, want) in kinds {
        let dir = TempDir::new("kind");
        drop(log_of(&dir.0, 3));
        checkpoint::make(&dir.0, None, day(2)).expect("checkpoint");
        assert_whole(&dir.0);
        act(&dir.0, &segments(&dir.0));
        let found = codes(&dir.0);
        assert_eq!(found, want.iter().copied().collect(), "{name}");
    }
}

/// Where it is: file, line and number.
#[test]
fn a_problem_says_where() {
    let dir = TempDir::new("where");
    drop(log_of(&dir.0, 2));
    let files = segments(&dir.0);
    edit_lines(&files[1], |lines| lines[2] = lines[2].replace("\"n\":", "\"m\":"));
    let verified = verify(&dir.0, &Options::default()).expect("verify");
    let [problem] = verified.problems.as_slice() else { panic!("{:#?}", verified.problems) };
    assert_eq!(problem.file, files[1].file_name().unwrap().to_str().unwrap());
    let line = fs::read_to_string(&files[1]).unwrap().lines().nth(2).unwrap().to_owned();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((problem.line, problem.seq), (Some(3), event["seq"].as_u64()));
}

/// Lines gone from the end leave a chain that is right: only what was kept elsewhere shows it.
#[test]
fn truncation_is_found_by_a_checkpoint_alone() {
    let dir = TempDir::new("truncated");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append(&[event(1), event(2), event(3)]).expect("append");
    let elsewhere = TempDir::new("elsewhere");
    let kept = elsewhere.0.join("kept");
    fs::write(&kept, checkpoint::make(&dir.0, None, SystemTime::now()).expect("made"))
        .expect("write");
    let against = Options { against: Some(kept), keys: None };
    let file = segments(&dir.0).remove(0);
    edit_lines(&file, |lines| drop(lines.pop()));
    // The one beside the log tells, until somebody removes it.
    assert_eq!(codes(&dir.0), BTreeSet::from(["truncated"]));
    fs::remove_file(dir.0.join(checkpoint::HEAD)).expect("remove");
    assert_whole(&dir.0);
    let verified = verify(&dir.0, &against).expect("verify");
    assert_eq!(verified.problems[0].code, ProblemCode::Truncated);
    // Written again from there on: the number is there, and another event has it.
    let mut log = AuditLog::open(&dir.0, &subject("two")).expect("open");
    log.append(&[event(4), event(5)]).expect("append");
    assert_whole(&dir.0);
    let verified = verify(&dir.0, &against).expect("verify");
    assert_eq!(verified.problems[0].code, ProblemCode::CheckpointMismatch);
    // With a key of the tamperer's own.
    fs::remove_file(dir.0.join(super::super::key::PRIVATE)).expect("remove");
    fs::remove_file(dir.0.join(super::super::key::PUBLIC)).expect("remove");
    checkpoint::make(&dir.0, None, SystemTime::now()).expect("made");
    let verified = verify(&dir.0, &against).expect("verify");
    assert_eq!(verified.problems[0].code, ProblemCode::CheckpointSignature);
}

#[test]
fn pruned_segments_are_not_missing_and_others_are() {
    let dir = TempDir::new("pruned");
    let mut log = log_of(&dir.0, 6);
    let files = segments(&dir.0);
    let keep = DAY * 2;
    // At the sixth day, two days are kept.
    let plan = prune::plan(&dir.0, keep, day(5)).expect("plan");
    assert_eq!(plan.kept, None);
    let old: Vec<PathBuf> = plan.old.iter().map(|old| dir.0.join(&old.segment)).collect();
    assert_eq!(old, files[..3], "{plan:?}");
    prune::prune(&mut log, &plan, keep, || day(5)).expect("prune");
    assert_eq!(segments(&dir.0), files[3..]);
    let verified = assert_whole(&dir.0);
    assert_eq!(verified.pruned_through_seq, plan.old.last().map(|old| old.last_seq));
    // One more goes by hand, as root would do it: its checkpoint is there, and no event says so.
    fs::remove_file(&files[3]).expect("remove");
    assert_eq!(codes(&dir.0), BTreeSet::from(["segment-missing"]));
}

#[test]
fn nothing_is_pruned_that_leaves_no_proof() {
    let keep = DAY;
    let dir = TempDir::new("unproven");
    drop(log_of(&dir.0, 4));
    let files = segments(&dir.0);
    let name = files[0].file_name().unwrap().to_str().unwrap();
    let kept = dir.0.join(checkpoint::name_of(name));
    let note = fs::read(&kept).expect("read");
    let why = |word: &str| {
        let plan = prune::plan(&dir.0, keep, day(9)).expect("plan");
        assert_eq!(plan.old, []);
        assert!(plan.kept.as_deref().is_some_and(|kept| kept.contains(word)), "{plan:?}");
    };
    fs::remove_file(&kept).expect("remove");
    why("no checkpoint");
    fs::write(&kept, String::from_utf8(note.clone()).unwrap().replace("first 1", "first 2"))
        .expect("write");
    why("not signed");
    fs::write(&kept, &note).expect("write");
    let text = fs::read_to_string(&files[0]).expect("read");
    fs::write(&files[0], text.replace("\"n\":1", "\"n\":9")).expect("write");
    why("hash-mismatch");
    fs::write(&files[0], text).expect("write");
    let plan = prune::plan(&dir.0, keep, day(9)).expect("plan");
    // Never the last.
    assert_eq!((plan.old.len(), plan.kept), (3, None));
}

#[test]
fn a_changed_segment_is_not_sealed() {
    let dir = TempDir::new("unsealed");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append_at(&[at(day(0), 1), at(day(0), 2)], || day(0)).expect("append");
    let file = segments(&dir.0).remove(0);
    edit_lines(&file, |lines| lines[1] = lines[1].replace("\"n\":1", "\"n\":3"));
    log.append_at(&[at(day(1), 3)], || day(1)).expect("append");
    let sealed = seal::seal(&mut log, || day(1)).expect("seal");
    let (code, detail) = sealed[0].problem.clone().expect("problem");
    assert_eq!(
        (code, detail.as_str()),
        (ProblemCode::HashMismatch, "line 2: it or the line before was changed")
    );
    let last = fs::read_to_string(&segments(&dir.0)[1]).expect("text");
    assert!(last.contains("audit.seal-failed"), "{last}");
    assert_eq!(codes(&dir.0), BTreeSet::from(["hash-mismatch"]));
}

#[test]
fn segments_of_a_version_without_hashes_are_named() {
    let dir = TempDir::new("plain");
    let old = "{\"segment\":1,\"firstSeq\":1,\"created\":\"2020-01-01T00:00:00.000000Z\",\"previous\":null}\n{\"seq\":1,\"ts\":\"2020-01-01T00:00:00.000000Z\",\"type\":\"run.end\",\"sev\":\"INFO\",\"ext\":\"\",\"ver\":\"\",\"run\":\"\",\"actor\":\"\",\"data\":{}}\n{\"seq\":2,\"ts\":\"2020-01-01T00:00:00.000000Z\",\"type\":\"run.end\",\"sev\":\"INFO\",\"ext\":\"\",\"ver\":\"\",\"run\":\"\",\"actor\":\"\",\"data\":{}}\n";
    let first = dir.0.join("2020-01-01T00-000001.jsonl");
    fs::write(&first, old).expect("write");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    assert_eq!(log.append(&[event(1)]).expect("append"), 3);
    let verified = assert_whole(&dir.0);
    assert_eq!(verified.not_chained, Some(NotChained { events: 2, before_seq: 3 }));
    assert_eq!((verified.segments, verified.events), (2, 3));
    // Such a segment after one with hashes is no old one.
    fs::write(
        dir.0.join("2020-01-01T00-000003.jsonl"),
        old.replace("\"segment\":1", "\"segment\":3"),
    )
    .expect("write");
    assert_eq!(codes(&dir.0), BTreeSet::from(["segment-header"]));
}

/// What a crash leaves at the end is no tampering, and what the next writer says of it has to be true.
#[test]
fn torn_ends() {
    let dir = TempDir::new("torn-ends");
    let mut log = AuditLog::open(&dir.0, &subject("one")).expect("open");
    log.append(&[event(1), event(2)]).expect("append");
    let file = segments(&dir.0).remove(0);
    let whole = fs::read(&file).expect("read");
    let first = 1 + whole.iter().position(|byte| *byte == b'\n').expect("header");
    for cut in 0..whole.len() {
        fs::write(&file, &whole[..cut]).expect("cut");
        let verified = assert_whole(&dir.0);
        assert_eq!(verified.torn_bytes > 0, cut > 0 && whole[cut - 1] != b'\n', "{cut}");
        // By a process that knows nothing of it.
        let mut log = AuditLog::open(&dir.0, &subject("two")).expect("open");
        log.append(&[event(3)]).expect("append");
        let verified = assert_whole(&dir.0);
        assert_eq!(verified.torn_bytes, 0);
        if cut < first {
            assert_eq!(verified.first_seq, Some(1), "{cut}");
        }
        if cut > 0 && whole[cut - 1] != b'\n' {
            // Something else than what was recorded.
            let text = fs::read_to_string(&file).expect("text");
            let mut bytes = text.into_bytes();
            bytes[cut - 1] ^= 1;
            fs::write(&file, &bytes).expect("write");
            assert!(!codes(&dir.0).is_empty(), "{cut}");
        }
    }
}

#[test]
fn rotation_by_size_and_a_log_of_several_segments() {
    let dir = TempDir::new("sizes");
    let settings = Settings { segment_bytes: 2000, ..Settings::default() };
    let mut log = AuditLog::open_with(&dir.0, &subject("one"), &settings).expect("open");
    for n in 0..40 {
        log.append(&[event(n)]).expect("append");
        if log.take_rotated() {
            seal::seal(&mut log, SystemTime::now).expect("seal");
        }
    }
    let verified = assert_whole(&dir.0);
    assert!(verified.segments > 5, "{}", verified.segments);
    assert_eq!(verified.unsealed, 0);
    assert!(verified.checkpoints >= verified.segments - 1);
    // Without the lock nothing is hidden.
    fs::remove_file(dir.0.join("lock")).expect("remove");
    assert_eq!(assert_whole(&dir.0), verified);
}
