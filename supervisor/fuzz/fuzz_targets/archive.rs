//! The tar inside an `.sbx`: what is read is what its list says, and no more than there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandboxctl::bundle::archive::{check, check_tar};

fuzz_target!(|input: &[u8]| {
    if let Ok(listed) = check_tar(input) {
        let length = u64::try_from(input.len()).expect("memory has fewer bytes");
        assert!(listed.list.total_bytes() <= length, "every byte of a file is in the archive");
        assert_eq!(listed.list.render(), listed.manifest_bytes);
    }
    drop(check(input));
});
