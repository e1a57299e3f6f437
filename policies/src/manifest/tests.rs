use super::{MAX_BYTES, Manifest};
use crate::diag::{CODES, Diagnostics};
use crate::permission::Permission;
use crate::plan::{Runtime, Storage};
use crate::tier::{Isolation, Tier};

const GOOD: &str = r#"[extension]
id = "acme.analytics"
name = "Analytics Dashboard"
version = "1.0.0"
publisher = "acme"
tier = "community"
isolation = "full"
[run]
command = ["python3", "main.py"]
env = { MODE = "report" }
runtime = "host"
workdir = "/ext/app"
[permissions]
request = ["READ_WORK_ORDERS", "EXTERNAL_API_CALLS"]
[network]
allow = ["API.example.com", "*.analytics.com:8443", "*"]
[files]
read = ["/extensions/acme.analytics/data/*", "/extensions/acme.analytics/a/**"]
write = []
[storage]
data = "ephemeral"
[limits]
memory_mb = 128
timeout_ms = 10_000
"#;

fn refuse(bytes: &[u8]) -> Diagnostics {
    match Manifest::parse("extension.toml", bytes) {
        Ok(manifest) => panic!("accepted: {manifest:?}"),
        Err(diagnostics) => diagnostics,
    }
}

/// `code@line:column` of every problem.
fn problems(text: &str) -> Vec<String> {
    let places = refuse(text.as_bytes());
    places.iter().map(|d| format!("{}@{}:{}", d.code, d.line, d.column)).collect()
}

/// The good manifest with one line replaced.
fn with(line: usize, text: &str) -> String {
    let mut lines: Vec<&str> = GOOD.lines().collect();
    lines[line - 1] = text;
    lines.join("\n") + "\n"
}

#[test]
fn the_example_is_read() {
    let manifest = Manifest::parse("extension.toml", GOOD.as_bytes()).unwrap();
    assert_eq!(manifest.id, "acme.analytics");
    assert_eq!(manifest.version.to_string(), "1.0.0");
    assert_eq!(manifest.tier, Tier::Community);
    assert_eq!(manifest.isolation, Some(Isolation::Full));
    assert_eq!(manifest.run.command, ["python3", "main.py"]);
    assert_eq!(manifest.run.env["MODE"], "report");
    assert_eq!(manifest.run.runtime, Runtime::Host);
    assert_eq!(manifest.run.workdir.as_deref(), Some("/ext/app"));
    let wanted = [Permission::ReadWorkOrders, Permission::ExternalApiCalls];
    assert_eq!(manifest.permissions, wanted);
    let rules: Vec<String> = manifest.network.iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["api.example.com:443", "*.analytics.com:8443", "*:443"]);
    let read = ["/extensions/acme.analytics/data", "/extensions/acme.analytics/a"];
    assert_eq!(manifest.files.read, read);
    assert_eq!(manifest.storage, Storage::Ephemeral);
    assert_eq!(manifest.limits.memory_mb, Some(128));
    assert_eq!(manifest.limits.timeout_ms, Some(10_000));
    assert_eq!(manifest.limits.tasks, None);
}

#[test]
fn the_least_manifest_is_read() {
    let text = "[extension]\nid = \"a.b\"\nname = \"B\"\nversion = \"0.1.0-rc.1+x\"\npublisher = \"a\"\n\
                tier = \"enterprise\"\n[run]\ncommand = [\"./b\"]\n";
    let manifest = Manifest::parse("extension.toml", text.as_bytes()).unwrap();
    assert_eq!((manifest.storage, manifest.isolation), (Storage::None, None));
    assert_eq!(manifest.run.runtime, Runtime::Host);
    assert!(manifest.permissions.is_empty() && manifest.network.is_empty());
}

#[test]
fn each_mistake_has_its_code_and_place() {
    let cases: &[(usize, &str, &str)] = &[
        (2, "id = \"Acme.analytics\"", "bad-id@2:6"),
        (2, "id = \"acme\"", "bad-id@2:6"),
        (2, "id = \"acme..x\"", "bad-id@2:6"),
        (2, "id = \"acme.-x\"", "bad-id@2:6"),
        (2, "id = \"acme./x\"", "bad-id@2:6"),
        (2, "id = \"acmé.x\"", "bad-id@2:6"),
        (2, "id = \"other.analytics\"", "publisher-mismatch@2:6"),
        (2, "id = 7", "wrong-type@2:6"),
        (2, "", "missing-key@1:1"),
        (3, "name = \"\"", "bad-text@3:8"),
        (3, "name = \"a\\u001bb\"", "bad-text@3:8"),
        (3, "name = \"a\u{202e}b\"", "bad-text@3:8"),
        (3, "name = \"ä\" \t x", "syntax@3:14"),
        (4, "version = \"1.0\"", "bad-version@4:11"),
        (4, "version = \"1.0.0.0\"", "bad-version@4:11"),
        (4, "version = 1.0", "wrong-type@4:11"),
        (5, "publisher = \"ac.me\"", "bad-id@5:13"),
        (6, "tier = \"gold\"", "unknown-value@6:8"),
        (6, "tear = \"community\"", "missing-key@1:1 unknown-key@6:1"),
        (7, "isolation = \"half\"", "unknown-value@7:13"),
        (7, "id = \"acme.analytics\"", "duplicate-key@7:1"),
        (9, "command = []", "bad-command@9:11"),
        (9, "command = [\"\"]", "bad-command@9:11"),
        (9, "command = \"python3 main.py\"", "wrong-type@9:11"),
        (9, "command = [\"a\", \"b\\u0000\"]", "bad-command@9:17"),
        (9, "command = [\"a\", 1]", "wrong-type@9:17"),
        (9, "", "missing-key@8:1"),
        (10, "env = { \"A-B\" = \"x\" }", "bad-env-name@10:9"),
        (10, "env = { \"9A\" = \"x\" }", "bad-env-name@10:9"),
        (10, "env = { \"\" = \"x\" }", "bad-env-name@10:9"),
        (10, "env = { SANDBOX_DATA = \"x\" }", "reserved-env-name@10:9"),
        (10, "env = { A = \"x\\u0000\" }", "bad-env-value@10:13"),
        (10, "env = { A = 1 }", "wrong-type@10:13"),
        (11, "runtime = \"guest\"", "unknown-value@11:11"),
        (12, "workdir = \"app\"", "bad-path@12:11"),
        (12, "workdir = \"/ext/../etc\"", "bad-path@12:11"),
        (14, "request = [\"READ_WORK_ORDER\"]", "unknown-permission@14:12"),
        (14, "request = [\"FILE_UPLOAD\", \"FILE_UPLOAD\"]", "duplicate-entry@14:27"),
        (16, "allow = [\"http://example.com\"]", "bad-domain@16:10"),
        (16, "allow = [\"10.0.0.1\"]", "bad-domain@16:10"),
        (16, "allow = [\"a.*.example.com\"]", "bad-domain@16:10"),
        (16, "allow = [\"example.com:0\"]", "bad-domain@16:10"),
        (16, "allow = [\"example.com:70000\"]", "bad-domain@16:10"),
        (16, "allow = [\"localhost\"]", "bad-domain@16:10"),
        (16, "allow = [\"a.com\", \"A.com:443\"]", "duplicate-entry@16:19"),
        (16, "allow = [{ host = \"a.com\", tls = \"off\" }]", "unknown-value@16:34"),
        (18, "read = [\"/a/*.csv\"]", "unsupported-glob@18:9"),
        (18, "read = [\"/a/**/b\"]", "unsupported-glob@18:9"),
        (18, "read = [\"a/b\"]", "bad-path@18:9"),
        (18, "read = [\"/a/../b\"]", "bad-path@18:9"),
        (18, "read = [\"/a//b\"]", "bad-path@18:9"),
        (18, "read = [\"/a/./b\"]", "bad-path@18:9"),
        (18, "read = [\"/*\"]", "bad-path@18:9"),
        (18, "read = [\"/\"]", "bad-path@18:9"),
        (18, "read = [\"/a/b/*\", \"/a/b/**\"]", "duplicate-entry@18:19"),
        (21, "data = \"forever\"", "unknown-value@21:8"),
        (22, "[limitz]", "unknown-key@22:2"),
        (23, "memory_mb = 257", "limit-above-tier@23:13"),
        (23, "memory_mb = 0", "number-out-of-range@23:13"),
        (23, "memory_mb = -1", "number-out-of-range@23:13"),
        (23, "memory_mb = 99999999999999999999999999", "number-out-of-range@23:13"),
        (23, "memory_mb = 0xFFFFFFFFFFFFFFFFF", "number-out-of-range@23:13"),
        (23, "memory_mb = 128.0", "not-a-whole-number@23:13"),
        (23, "memory_mb = nan", "not-a-whole-number@23:13"),
        (23, "memory_mb = -inf", "not-a-whole-number@23:13"),
        (23, "memory_mb = \"128\"", "wrong-type@23:13"),
        (23, "memroy_mb = 128", "unknown-key@23:1"),
        (24, "tasks = 65", "limit-above-tier@24:9"),
        (24, "memory_mb = 1", "duplicate-key@24:1"),
    ];
    for (line, text, expected) in cases {
        assert_eq!(problems(&with(*line, text)).join(" "), *expected, "line {line}: {text}");
    }
}

#[test]
fn every_problem_is_listed_at_once() {
    let mut text = with(2, "id = \"ACME\"");
    text = text.replace("\"1.0.0\"", "\"one\"").replace("memory_mb = 128", "memory_mb = -5");
    text = text.replace("\"READ_WORK_ORDERS\"", "\"READ_ALL\"").replace("MODE =", "\"M O\" =");
    let expected = [
        "bad-id@2:6",
        "bad-version@4:11",
        "bad-env-name@10:9",
        "unknown-permission@14:12",
        "number-out-of-range@23:13",
    ];
    assert_eq!(problems(&text), expected);
}

#[test]
fn syntax_errors_do_not_hide_the_rest() {
    let text = with(3, "name = ").replace("memory_mb = 128", "memory_mb = -5");
    let found = problems(&text);
    assert!(found.iter().any(|problem| problem.starts_with("syntax@3:")), "{found:?}");
    assert!(found.contains(&String::from("number-out-of-range@23:13")), "{found:?}");
    assert!(!found.iter().any(|problem| problem.starts_with("missing-key")), "{found:?}");
}

#[test]
fn empty_files_name_what_is_missing() {
    assert_eq!(problems(""), ["missing-key@1:1", "missing-key@1:1"]);
}

#[test]
fn text_names_file_place_code_and_hint() {
    let text = refuse(with(23, "memroy_mb = 128").as_bytes()).to_string();
    let expected = "extension.toml:23:1: error[unknown-key]: unknown key `memroy_mb` in [limits]\n  \
                    hint: did you mean `memory_mb`?";
    assert_eq!(text, expected);
    let json = serde_json::to_value(refuse(with(23, "tasks = 1.5").as_bytes())).unwrap();
    assert_eq!(json[0]["code"], "not-a-whole-number");
    assert_eq!((&json[0]["line"], &json[0]["severity"]), (&23.into(), &"error".into()));
}

#[test]
fn large_files_are_refused_unread() {
    let text = vec![b'#'; 10 * 1024 * 1024];
    assert_eq!(refuse(&text).0[0].code, "file-too-large");
    let mut text = GOOD.as_bytes().to_vec();
    text.resize(MAX_BYTES, b'\n');
    assert!(Manifest::parse("extension.toml", &text).is_ok());
}

#[test]
fn nesting_is_bounded() {
    let deep = "[".repeat(100_000);
    let places = [
        (format!("a = {deep}"), "nesting-too-deep@1:21"),
        (format!("a = {}", "{a=".repeat(80_000)), "nesting-too-deep@1:53"),
        (deep, "nesting-too-deep@1:17"),
    ];
    for (text, expected) in places {
        assert_eq!(problems(&text), [expected]);
    }
    // Dots nest too; the parser bounds them.
    for text in [format!("a{} = 1", ".a".repeat(100_000)), format!("[a{}]", ".a".repeat(100_000))] {
        assert!(!refuse(text.as_bytes()).0.is_empty());
    }
    // Brackets in texts and comments do not nest.
    let text = format!("{GOOD}# {}\n", "[".repeat(50));
    assert!(Manifest::parse("extension.toml", text.as_bytes()).is_ok());
    let text = with(3, "name = '[[[[[[[[[[[[[[[[[[[[\"'");
    assert!(Manifest::parse("extension.toml", text.as_bytes()).is_ok());
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let mut bytes = b"[extension]\nname = \"\xc3\xa4".to_vec();
    bytes.extend(b"\xff\"\n");
    let found = refuse(&bytes);
    let first = &found.0[0];
    assert_eq!((first.code, first.line, first.column), ("not-utf8", 2, 10));
}

#[test]
fn hostile_text_is_refused_quickly_and_bounded() {
    for unit in
        ["x", "=\n", "\"\n", "a=1\n", "[\n", "\u{0}", "a.b=\n", "[[a]]\n", "'''", "\\", "k\n"]
    {
        let text = unit.repeat(200_000 / unit.len());
        assert!(refuse(text.as_bytes()).0.len() <= 100, "{unit:?}");
    }
}

#[test]
fn a_message_never_carries_control_characters() {
    let text = with(14, "request = [\"\\u001b[31m\\nfake: line\"]");
    let shown = refuse(text.as_bytes()).0[0].message.clone();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}

#[test]
fn codes_are_unique_and_described() {
    for (index, (code, meaning)) in CODES.iter().enumerate() {
        assert!(CODES[..index].iter().all(|(other, _)| other != code), "{code} twice");
        assert!(!meaning.is_empty());
        let kebab = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(code.bytes().all(kebab));
    }
}

/// Bytes of the good manifest replaced, removed and repeated at random: whatever comes out is read or refused with places
/// that exist.
#[test]
fn damaged_manifests_are_read_or_refused() {
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces: [&[u8]; 12] = [
        b"\"",
        b"'''",
        b"[",
        b"]]",
        b"\n",
        b"=",
        b"\xff",
        b"\0",
        b"\\u0000",
        b".",
        b"nan",
        "é".as_bytes(),
    ];
    for _ in 0..3000 {
        let mut bytes = GOOD.as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            let end = (at + next(6)).min(bytes.len());
            bytes.splice(at..end, pieces[next(pieces.len())].iter().copied());
        }
        let Err(found) = Manifest::parse("extension.toml", &bytes) else {
            continue;
        };
        assert!(!found.0.is_empty());
        let lines = bytes.split(|byte| *byte == b'\n').count();
        for problem in &found {
            assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem}");
        }
    }
}

fn network(entries: &str) -> Result<Vec<crate::domain::DomainRule>, Vec<(String, String)>> {
    let text = format!(
        "[extension]\nid = \"a.b\"\nname = \"B\"\nversion = \"0.1.0\"\npublisher = \"a\"\n\
         tier = \"enterprise\"\n[run]\ncommand = [\"./b\"]\n[network]\nallow = [{entries}]\n"
    );
    Manifest::parse("extension.toml", text.as_bytes()).map(|manifest| manifest.network).map_err(
        |problems| problems.iter().map(|one| (one.code.to_owned(), one.message.clone())).collect(),
    )
}

#[test]
fn rules_have_ports_modes_and_address_policies() {
    use crate::domain::{AddressPolicy, TlsMode};
    let rules = network(
        "\"API.Example.com.:8443,80\", \"bücher.example\", { host = \"mq.example.com\", ports = [0x1627], \
         tls = \"opaque\" }, { host = \"erp.corp.example\", addresses = \"private\" }, \"*:80,443\"",
    )
    .unwrap();
    let texts: Vec<String> = rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "api.example.com:80,8443",
            "xn--bcher-kva.example:443",
            "mq.example.com:5671",
            "erp.corp.example:443",
            "*:80,443"
        ]
    );
    assert_eq!(rules[0].tls, TlsMode::Checked);
    assert_eq!(rules[2].tls, TlsMode::Opaque);
    assert_eq!(rules[3].addresses, AddressPolicy::Private);
}

#[test]
fn bad_rules_are_refused_with_their_reason() {
    let many: Vec<String> = (1..=33).map(|port| format!("\"a.example:{}\"", port + 100)).collect();
    for (entries, code) in [
        ("\"*.com\"", "bad-domain"),
        ("\"*.co.uk\"", "bad-domain"),
        ("\"co.uk\"", "bad-domain"),
        ("\"*.github.io\"", "bad-domain"),
        ("\"a.*.example\"", "bad-domain"),
        ("\"https://a.example\"", "bad-domain"),
        ("\"1.2.3.4\"", "bad-domain"),
        ("\"0x7f000001\"", "bad-domain"),
        ("\"[::1]:443\"", "bad-domain"),
        ("\"localhost\"", "bad-domain"),
        ("\"a.example:0\"", "bad-domain"),
        ("\"a.example:65536\"", "bad-domain"),
        ("\"a.example:053\"", "bad-domain"),
        ("\"a.example:53\"", "bad-domain"),
        ("\"a.example:\"", "bad-domain"),
        ("\"a.example:443,443\"", "duplicate-entry"),
        ("\"a.example\", \"A.example:443\"", "duplicate-entry"),
        ("\"a.example\", { host = \"a.example\", tls = \"opaque\" }", "duplicate-entry"),
        ("{ host = \"*.a.example\", addresses = \"private\" }", "bad-domain"),
        ("{ host = \"a.example\", ports = [] }", "bad-domain"),
        ("{ host = \"a.example\", ports = [-1] }", "bad-domain"),
        ("{ host = \"a.example\", ports = 443 }", "wrong-type"),
        ("{ host = \"a.example\", tls = \"off\" }", "unknown-value"),
        ("{ host = \"a.example\", port = 443 }", "unknown-key"),
        ("{ ports = [443] }", "missing-key"),
        ("443", "wrong-type"),
        (&many.join(", "), "too-many-entries"),
    ] {
        let problems = network(entries).unwrap_err();
        assert_eq!(problems.len(), 1, "{entries}: {problems:?}");
        assert_eq!(problems[0].0, code, "{entries}: {problems:?}");
    }
}
