//! `MANIFEST`: what is read has one text only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::files::{FileList, ListHead};

fuzz_target!(|input: &[u8]| {
    if let Ok(list) = FileList::parse(input) {
        assert_eq!(list.render(), input, "one list, one text, one digest");
        assert_eq!(ListHead::parse(input).as_ref(), Ok(list.head()), "one head");
        let paths: Vec<&str> = list.entries().iter().map(|entry| entry.path.as_str()).collect();
        assert!(paths.is_sorted_by(|a, b| a < b), "sorted, and none twice: {paths:?}");
        for (at, path) in paths.iter().enumerate() {
            assert!(path.is_ascii());
            assert!(!paths[..at].iter().any(|other| other.eq_ignore_ascii_case(path)), "{path}");
        }
        for entry in list.entries() {
            let path = &entry.path;
            assert!(
                !path.starts_with('/')
                    && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            );
        }
    }
});
