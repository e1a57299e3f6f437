use std::io::Write;

use policies::files::{FileMode, MAX_SIGNATURE_BYTES};
use semver::Version;
use tar::{EntryType, Header};

use super::*;
use crate::bundle::digest::sha256;

const TOML: &[u8] = b"[extension]\n";
const MAIN: &[u8] = b"print('hello')\n";
const SIZE: usize = 512;

fn entry(path: &str, content: &[u8]) -> Entry {
    let size = u64::try_from(content.len()).unwrap();
    Entry { mode: FileMode::Plain, size, sha256: sha256(content), path: path.to_owned() }
}

fn list(entries: Vec<Entry>) -> Vec<u8> {
    FileList::new("acme.hello".to_owned(), Version::new(1, 0, 0), entries).unwrap().render()
}

/// The list of the archives below.
fn manifest() -> Vec<u8> {
    list(vec![entry("extension.toml", TOML), entry("lib/main.py", MAIN)])
}

/// A header as `pack` writes it, changed by `change`, and with a good sum.
fn header(path: &str, size: usize, change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_path(path).unwrap();
    header.set_mode(0o644);
    header.set_size(u64::try_from(size).unwrap());
    header.set_entry_type(EntryType::Regular);
    change(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A file, as `pack` writes it.
fn file(path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(path, content.len(), |_| {});
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(SIZE), 0);
    bytes
}

/// A file whose name no library would write.
fn named(name: &[u8]) -> Vec<u8> {
    header("x", 0, |header| {
        let field = &mut header.as_old_mut().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name);
    })
}

fn of_type(kind: u8) -> Vec<u8> {
    header("lib/main.py", 0, |header| header.as_old_mut().linkflag = [kind])
}

const END: [u8; 2 * SIZE] = [0; 2 * SIZE];

fn good() -> Vec<Vec<u8>> {
    vec![
        file("MANIFEST", &manifest()),
        file("extension.toml", TOML),
        file("lib/main.py", MAIN),
        END.to_vec(),
    ]
}

/// The good archive with something before its last file.
fn with(bytes: Vec<u8>) -> Vec<u8> {
    let mut parts = good();
    parts.insert(2, bytes);
    parts.concat()
}

fn pressed(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 3).unwrap()
}

/// A frame of Zstandard with this window, RFC 8878, section 3.1.1.1.2; its content is one block of nothing.
fn windowed(exponent: u8) -> Vec<u8> {
    [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, exponent << 3], &[1, 0, 0]].concat()
}

#[test]
fn a_good_archive_is_read() {
    let tar = good().concat();
    let listed = check_tar(&tar).unwrap();
    assert_eq!(listed, check(&pressed(&tar)).unwrap());
    assert_eq!(*listed.digest(), sha256(&manifest()));
    assert_eq!(listed.statement.p7s, None);
    let mut signed = good();
    signed.insert(1, file("MANIFEST.p7s", b"signature"));
    assert_eq!(
        check_tar(&signed.concat()).unwrap().statement.p7s.as_deref(),
        Some(&b"signature"[..])
    );
    // Any order, and the zeros of tar's record.
    let mut other = good();
    other.swap(1, 2);
    other.push(vec![0; 8 * SIZE]);
    check(&pressed(&other.concat())).unwrap();
}

type Cases = Vec<(&'static str, Vec<u8>)>;

/// Headers that are none, or of what a bundle cannot have.
fn headers() -> Cases {
    let tar = good().concat();
    let odd = |change: fn(&mut Header)| with(header("x", 0, change));
    vec![
        ("archive-bad-sum", [&tar[..SIZE - 1], b"x", &tar[SIZE..]].concat()),
        ("archive-bad-sum", vec![b'x'; 2 * SIZE]),
        ("archive-not-ustar", odd(|header| header.as_ustar_mut().unwrap().magic = *b"ustar ")),
        ("archive-not-ustar", odd(|header| header.as_ustar_mut().unwrap().version = *b" \0")),
        ("archive-number", odd(|header| header.as_old_mut().size = *b"-0000000001\0")),
        ("archive-number", odd(|header| header.as_old_mut().size[0] = 0x80)),
        ("archive-number", odd(|header| header.as_old_mut().mode = *b"0o644\0\0\0")),
        ("archive-smuggled-bytes", odd(|header| header.as_old_mut().name[50] = b'y')),
        ("archive-smuggled-bytes", odd(|header| header.as_old_mut().linkname[0] = b'y')),
        ("archive-smuggled-bytes", odd(|header| header.as_ustar_mut().unwrap().pad[3] = 1)),
        ("archive-hard-link", with(of_type(b'1'))),
        ("archive-symlink", with(of_type(b'2'))),
        ("archive-device", with(of_type(b'3'))),
        ("archive-device", with(of_type(b'4'))),
        ("archive-folder", with(of_type(b'5'))),
        ("archive-fifo", with(of_type(b'6'))),
        ("archive-unknown-type", with(of_type(b'7'))),
        ("archive-unknown-type", with(of_type(0))),
        ("archive-unknown-type", with(of_type(b'V'))),
        ("archive-sparse", with(of_type(b'S'))),
        ("archive-long-name", with(of_type(b'L'))),
        ("archive-long-name", with(of_type(b'K'))),
        ("archive-pax", with(of_type(b'x'))),
        ("archive-pax", with(of_type(b'g'))),
        ("archive-pax", [of_type(b'g'), tar.clone()].concat()),
    ]
}

/// Names that lead elsewhere or deceive, and modes.
fn names_and_modes() -> Cases {
    let moded = |mode| with(header("lib/main.py", MAIN.len(), |header| header.set_mode(mode)));
    vec![
        ("path-dot-dot", with(named(b"../../etc/passwd"))),
        ("path-dot-dot", with(named(b"lib/../../x"))),
        ("path-absolute", with(named(b"/etc/passwd"))),
        ("path-dot", with(named(b"./extension.toml"))),
        ("path-empty", with(named(b""))),
        ("path-empty-component", with(named(b"lib/"))),
        ("path-leading-dash", with(named(b"--help"))),
        ("path-character", with(named("\u{202e}yp.exe".as_bytes()))),
        ("path-character", with(named("caf\u{e9}".as_bytes()))),
        ("path-character", with(named(b"a\nb"))),
        ("path-character", with(named(b"a\x1b[2J"))),
        ("archive-set-id", moded(0o4755)),
        ("archive-set-id", moded(0o2755)),
        ("archive-set-id", moded(0o1755)),
        ("archive-mode", moded(0o777)),
        ("archive-mode", moded(0o600)),
        ("file-mode-differs", moded(0o755)),
    ]
}

/// Files that are not what the list says.
fn content() -> Cases {
    let tar = good().concat();
    let (main, toml) = (file("lib/main.py", MAIN), file("extension.toml", TOML));
    // The good archive with another part in place of one.
    let replaced = |index: usize, part: Vec<u8>| {
        let mut parts = good();
        parts[index] = part;
        parts.concat()
    };
    let signed_at = |index: usize, length: usize| {
        let mut parts = good();
        parts.insert(index, file("MANIFEST.p7s", &vec![b's'; length]));
        parts.concat()
    };
    let mut hidden = main.clone();
    hidden[SIZE + MAIN.len()] = b'x';
    let other = list(vec![entry("a", b""), entry("b", b"")]);
    vec![
        ("archive-list-not-first", [toml.clone(), END.to_vec()].concat()),
        ("archive-truncated", END.to_vec()),
        ("archive-truncated", Vec::new()),
        ("archive-truncated", replaced(3, Vec::new())),
        ("archive-duplicate", with(toml.clone())),
        ("archive-duplicate", [&tar[..tar.len() - END.len()], &main, &END].concat()),
        ("archive-duplicate", with(file("MANIFEST", &manifest()))),
        ("file-unlisted", with(file("lib/other.py", MAIN))),
        ("path-case-clash", with(file("LIB/main.py", MAIN))),
        ("path-case-clash", with(file("Manifest", MAIN))),
        ("file-size-differs", with(header("lib/main.py", MAIN.len() - 1, |_| {}))),
        ("file-content-differs", replaced(2, file("lib/main.py", b"print('jello')\n"))),
        ("file-missing", replaced(2, Vec::new())),
        ("archive-hidden-bytes", replaced(2, hidden)),
        ("archive-after-end", [&tar[..], b"x"].concat()),
        ("archive-after-end", replaced(3, [vec![0; SIZE], toml].concat())),
        ("archive-after-end", [tar.clone(), vec![0; 200 * SIZE]].concat()),
        ("archive-signature-not-second", signed_at(2, 8)),
        ("signature-too-large", signed_at(1, MAX_SIGNATURE_BYTES + 1)),
        ("list-too-large", header("MANIFEST", (16 << 20) + 1, |_| {})),
        ("list-magic", replaced(0, file("MANIFEST", b"sandboxctl-manifest 9\n"))),
        ("list-id", replaced(0, file("MANIFEST", b"sandboxctl-manifest 1\nid a\n"))),
        ("file-unlisted", replaced(0, file("MANIFEST", &other))),
    ]
}

/// Frames that are none, or not the only one.
fn frames() -> Cases {
    let tar = good().concat();
    let sbx = pressed(&tar);
    let skippable = [0x51, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    // Of the reserved type, after the frame's header.
    let mut block = sbx.clone();
    block[windowed(5).len() - 3..].fill(0xff);
    // With the flag and the number of one.
    let mut dictionary = windowed(5);
    dictionary[4] = 1;
    dictionary.insert(6, 7);
    vec![
        ("archive-not-zstd", Vec::new()),
        ("archive-not-zstd", b"PK\x03\x04".to_vec()),
        ("archive-not-zstd", tar.clone()),
        ("archive-skippable-frame", [&skippable[..], &sbx].concat()),
        ("archive-trailing-bytes", [&sbx[..], b"x"].concat()),
        ("archive-trailing-bytes", [&sbx[..], &tar].concat()),
        ("archive-second-frame", [&sbx[..], &sbx].concat()),
        ("archive-second-frame", [&sbx[..], &skippable].concat()),
        // 2^(10 + 14) bytes.
        ("archive-window-too-large", windowed(14)),
        ("archive-truncated", windowed(13)),
        ("archive-dictionary", dictionary),
        ("archive-corrupt", block),
    ]
}

#[test]
fn every_refusal_has_its_code() {
    for (code, tar) in [headers(), names_and_modes(), content()].concat() {
        let error = check_tar(&tar).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let error = check(&pressed(&tar)).unwrap_err();
        assert_eq!(error.code(), code, "compressed: {error}");
    }
    for (code, sbx) in frames() {
        let error = check(&sbx).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn what_is_cut_off_is_refused_wherever() {
    let sbx = pressed(&good().concat());
    for length in 0..sbx.len() {
        let code = check(&sbx[..length]).unwrap_err().code();
        assert!(code == "archive-truncated" || length < 4 && code == "archive-not-zstd", "{code}");
    }
}

/// Nothing that is done to an archive makes the reader panic, or read other files under the same digest.
#[test]
fn mutations_are_refused_or_mean_the_same() {
    let tar = good().concat();
    let listed = check_tar(&tar).unwrap();
    let mut refused = 0;
    let mut judge = |read: Result<Listed, ArchiveError>| match read {
        Err(_) => refused += 1,
        // Times and owners of headers are not looked at; another list is another bundle.
        Ok(other) => assert!(other == listed || other.digest() != listed.digest()),
    };
    let sbx = pressed(&tar);
    for flip in [1_u8, 0x80, 0xff] {
        for position in 0..tar.len() {
            let mut bytes = tar.clone();
            bytes[position] ^= flip;
            judge(check_tar(&bytes));
        }
        for position in 0..sbx.len() {
            let mut bytes = sbx.clone();
            bytes[position] ^= flip;
            judge(check(&bytes));
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// 3 GiB of zeros in a few hundred kilobytes.
#[test]
fn a_bomb_is_refused_early() {
    let zeros = 1_u64 << 30;
    let entries = ["a", "b", "c"].map(|path| Entry {
        mode: FileMode::Plain,
        size: zeros,
        sha256: sha256(b""),
        path: path.to_owned(),
    });
    let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    bomb.write_all(&file("MANIFEST", &list(entries.to_vec()))).unwrap();
    let one = header("a", 1 << 30, |_| {});
    bomb.write_all(&one).unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..160 {
        bomb.write_all(&piece).unwrap();
    }
    // What follows is never looked at.
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    assert_eq!(check(&bomb).unwrap_err().code(), "archive-bomb");
}

#[test]
fn codes_are_one_for_each_refusal() {
    let text = include_str!("error.rs");
    let mut codes: Vec<&str> =
        text.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).collect();
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
