//! `MANIFEST`: what is read has one text only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::files::FileList;

fuzz_target!(|input: &[u8]| {
    if let Ok(list) = FileList::parse(input) {
        assert_eq!(list.render(), input, "one list, one text, one digest");
        for entry in list.entries() {
            let path = &entry.path;
            assert!(
                !path.starts_with('/')
                    && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            );
        }
    }
});
