//! The tar inside an `.sbx`: what is read is what its list says, and no more than there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandboxctl::bundle::archive::{check, check_tar};
use sandboxctl::bundle::digest::sha256;

fuzz_target!(|input: &[u8]| {
    if let Ok(listed) = check_tar(input) {
        let (text, p7s) = (listed.statement.text.bytes(), listed.statement.p7s.as_deref());
        assert_eq!(listed.list.render(), text);
        let files = files(input);
        let content = |path: &str| {
            let mut named = files.iter().filter(|(name, _)| name == path);
            let (found, more) = (named.next(), named.next());
            assert!(more.is_none(), "{path} is there twice");
            found.map(|(_, content)| *content)
        };
        assert_eq!(content("MANIFEST"), Some(text));
        assert_eq!(content("MANIFEST.p7s"), p7s);
        for entry in listed.list.entries() {
            let content =
                content(&entry.path).unwrap_or_else(|| panic!("{} is missing", entry.path));
            assert_eq!(u64::try_from(content.len()), Ok(entry.size), "{}", entry.path);
            assert_eq!(sha256(content), entry.sha256, "{} is not what is listed", entry.path);
        }
        let known = listed.list.entries().len() + 1 + usize::from(p7s.is_some());
        assert_eq!(files.len(), known, "more is there than is listed");
    }
    drop(check(input));
});

/// The files of a tar as a simple reader finds them, which takes headers at their word: POSIX.1-2017, pax, ustar. Panics
/// where there is something else than a file.
fn files(mut tar: &[u8]) -> Vec<(String, &[u8])> {
    let mut files = Vec::new();
    while let Some((header, rest)) = tar.split_at_checked(512) {
        if header.iter().all(|byte| *byte == 0) {
            assert!(rest.iter().all(|byte| *byte == 0), "something follows the end");
            return files;
        }
        let text = |from: usize, to: usize| {
            let field = header[from..to].split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(field).into_owned()
        };
        assert!(matches!(header[156], b'0' | 0), "no plain file");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = header[148..156].iter().map(|byte| u32::from(*byte)).sum();
        let octal = |text: String| u32::from_str_radix(text.trim(), 8);
        assert_eq!(octal(text(148, 156)), Ok(sum - own + 8 * u32::from(b' ')), "the checksum");
        let size = octal(text(124, 136)).unwrap_or_else(|error| panic!("{error}"));
        let (content, rest) = rest.split_at(usize::try_from(size).expect("a size"));
        let (name, prefix) = (text(0, 100), text(345, 500));
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        files.push((path, content));
        tar = &rest[content.len().next_multiple_of(512) - content.len()..];
    }
    panic!("there is no end");
}
