//! Records as Linux 6.18 wrote them for a process behind `pivot_root` that tried each kind of access.

use super::*;

fn denied(text: &str) -> (String, Target) {
    match parse_record(LANDLOCK_ACCESS, text.as_bytes()) {
        Some(Record::Denied { domain: 0x1_a5fe_e1f0, blockers, target }) => {
            (blockers.to_owned(), target)
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn denials() {
    let path = |path: &str| Target::Path(path.to_owned());
    for (text, blockers, target) in [
        (
            r#"audit(1795466660.570:2): domain=1a5fee1f0 blockers=fs.read_file path="/secret" dev="tmpfs" ino=5"#,
            "fs.read_file",
            path("/secret"),
        ),
        (
            r#"audit(1795466660.570:4): domain=1a5fee1f0 blockers=fs.read_file path=2F77697468207370616365 dev="tmpfs" ino=6"#,
            "fs.read_file",
            path("/with space"),
        ),
        (
            r#"audit(1795466660.570:5): domain=1a5fee1f0 blockers=fs.read_file path=2FC3BC74662271 dev="tmpfs" ino=7"#,
            "fs.read_file",
            path("/ütf\"q"),
        ),
        (
            r#"audit(1795466660.570:12): domain=1a5fee1f0 blockers=fs.make_reg,fs.refer path="/data" dev="tmpfs" ino=2"#,
            "fs.make_reg,fs.refer",
            path("/data"),
        ),
        (
            "audit(1795466660.570:15): domain=1a5fee1f0 blockers=net.connect_tcp daddr=127.0.0.1 dest=80",
            "net.connect_tcp",
            Target::Port(80),
        ),
        (
            "audit(1795466660.570:16): domain=1a5fee1f0 blockers=net.bind_tcp saddr=127.0.0.1 src=8080",
            "net.bind_tcp",
            Target::Port(8080),
        ),
        (
            "audit(1795466660.570:17): domain=1a5fee1f0 blockers=net.connect_tcp daddr=::1 dest=443",
            "net.connect_tcp",
            Target::Port(443),
        ),
        (
            r#"audit(1795466660.570:18): domain=1a5fee1f0 blockers=scope.signal opid=31489 ocomm="python3""#,
            "scope.signal",
            Target::Other,
        ),
        (
            "audit(1795466660.570:19): domain=1a5fee1f0 blockers=scope.abstract_unix_socket path=0061622D31",
            "scope.abstract_unix_socket",
            Target::Socket("@ab-1".to_owned()),
        ),
    ] {
        assert_eq!(denied(text), (blockers.to_owned(), target));
        assert_eq!(domain_of(text.as_bytes()), Some(0x1_a5fe_e1f0));
    }
}

#[test]
fn domains() {
    let allocated = br#"audit(1795466660.570:3): domain=1a5fee1f0 status=allocated mode=enforcing pid=31532 uid=0 exe="/usr/bin/python3.11" comm="python3""#;
    assert_eq!(
        parse_record(LANDLOCK_DOMAIN, allocated),
        Some(Record::Allocated { domain: 0x1_a5fe_e1f0, pid: 31532 })
    );
    let gone = b"audit(1795466660.626:19): domain=1a5fee1f0 status=deallocated denials=16";
    assert_eq!(
        parse_record(LANDLOCK_DOMAIN, gone),
        Some(Record::Deallocated { domain: 0x1_a5fe_e1f0, denials: 16 })
    );
}

#[test]
fn a_name_cannot_forge_a_field() {
    // A path with a space and a quote is hexadecimal, so this is how such a name arrives.
    let text = "audit(1.0:1): domain=1a5fee1f0 blockers=fs.read_file \
                path=2F7822206465763D79207069643D31 dev=\"tmpfs\" ino=5";
    assert_eq!(denied(text).1, Target::Path("/x\" dev=y pid=1".to_owned()));
}

/// No panic; a path that comes out was in there.
fn survive(text: &[u8]) {
    if let Some(Record::Denied { target: Target::Path(path), .. }) =
        parse_record(LANDLOCK_ACCESS, text)
    {
        assert!(path.len() <= 3 * text.len());
    }
    assert_eq!(parse_record(LANDLOCK_DOMAIN, text), None);
}

#[test]
fn anything_else_is_refused_or_survived() {
    let whole: &[u8] = br#"audit(1795466660.570:2): domain=1a5fee1f0 blockers=fs.read_file path="/secret" dev="tmpfs" ino=5"#;
    for end in 0..whole.len() {
        survive(&whole[..end]);
        for byte in [0, b' ', b'=', b'"', 0xff, b')'] {
            let mut changed = whole.to_vec();
            changed[end] = byte;
            survive(&changed);
        }
    }
    assert_eq!(parse_record(1305, whole), None);
    assert_eq!(parse_record(LANDLOCK_ACCESS, b""), None);
    assert_eq!(parse_record(LANDLOCK_DOMAIN, whole), None);
    assert_eq!(untrusted(b"(null)"), "(null)");
    assert_eq!(untrusted(b"\""), "");
}
