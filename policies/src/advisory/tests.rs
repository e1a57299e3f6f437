use super::*;

fn versions(json: &str) -> Versions {
    serde_json::from_str(json).unwrap()
}

fn range(kind: &str, events: &str) -> Versions {
    versions(&format!(r#"{{"ranges":[{{"type":"{kind}","events":[{events}]}}]}}"#))
}

#[test]
fn semantic_ranges() {
    let two =
        r#"{"introduced":"0"},{"fixed":"1.2.3"},{"introduced":"2.0.0"},{"last_affected":"2.1.0"}"#;
    let unsorted =
        r#"{"last_affected":"2.1.0"},{"introduced":"2.0.0"},{"fixed":"1.2.3"},{"introduced":"0"}"#;
    for events in [two, unsorted] {
        let range = range("SEMVER", events);
        for (version, expected) in [
            ("0.0.1", Match::Affected),
            ("1.2.2", Match::Affected),
            ("1.2.3-rc.1", Match::Affected),
            ("1.2.3", Match::NotAffected),
            ("1.2.3+build", Match::NotAffected),
            ("2.0.0-rc.1", Match::NotAffected),
            ("2.0.0", Match::Affected),
            ("2.1.0", Match::Affected),
            ("2.1.1", Match::NotAffected),
            ("1.2", Match::Unknown),
            ("latest", Match::Unknown),
            ("", Match::Unknown),
        ] {
            assert_eq!(range.affect("npm", version), expected, "{version}");
        }
    }
    let open = range("SEMVER", r#"{"introduced":"1.0.0"}"#);
    assert_eq!(open.affect("Go", "9.0.0"), Match::Affected);
    assert_eq!(open.affect("Go", "0.9.0"), Match::NotAffected);
    let bad = range("SEMVER", r#"{"introduced":"0"},{"fixed":"soon"}"#);
    assert_eq!(bad.affect("npm", "1.0.0"), Match::Unknown);
}

#[test]
fn python_versions() {
    let range = range("ECOSYSTEM", r#"{"introduced":"0"},{"fixed":"2.0.post1"}"#);
    for (version, expected) in [
        ("1.0", Match::Affected),
        ("2.0rc1", Match::Affected),
        ("2.0", Match::Affected),
        ("2.0.post1", Match::NotAffected),
        ("1!1.0", Match::NotAffected),
        ("v1.0", Match::Affected),
        ("nightly", Match::Unknown),
    ] {
        assert_eq!(range.affect("PyPI", version), expected, "{version}");
    }
}

#[test]
fn lists_and_orders_that_nobody_knows() {
    let ended = r#""ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]"#;
    let open = r#""ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]"#;
    let git = r#""ranges":[{"type":"GIT","events":[{"introduced":"0"},{"fixed":"abc"}]}]"#;
    for (json, version, expected) in [
        (format!(r#"{{"versions":["1.0.Final"],{ended}}}"#), "1.0.Final", Match::Affected),
        (format!(r#"{{"versions":["1.0.Final"],{ended}}}"#), "2.0.Final", Match::NotAffected),
        (format!(r#"{{"versions":["1.0.Final"],{open}}}"#), "2.0.Final", Match::Unknown),
        (format!("{{{ended}}}"), "1.0", Match::Unknown),
        (format!("{{{git}}}"), "1.0", Match::Unknown),
        (format!(r#"{{"versions":["1.0"],{git}}}"#), "1.1", Match::NotAffected),
        ("{}".to_owned(), "1.0", Match::Unknown),
    ] {
        assert_eq!(versions(&json).affect("Maven", version), expected, "{json} {version}");
    }
}

#[test]
fn ratings() {
    let rating = |json: &str| {
        let advisory: Advisory = serde_json::from_str(json).unwrap();
        let rating = advisory.rating(&advisory.affected[0]);
        (rating.severity, rating.score)
    };
    let of = |id: &str, rest: &str| {
        format!(r#"{{"id":"{id}","modified":"2026-01-01T00:00:00Z","affected":[{{}}]{rest}}}"#)
    };
    let v3 = r#","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]"#;
    let both = r#","severity":[{"type":"CVSS_V2","score":"AV:N"},{"type":"CVSS_V3","score":"CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}],"database_specific":{"severity":"CRITICAL"}"#;
    for (id, rest, expected) in [
        ("GHSA-1", v3, (Severity::Critical, 96)),
        ("GHSA-1", both, (Severity::Low, 10)),
        ("GHSA-1", r#","database_specific":{"severity":"MODERATE"}"#, (Severity::Medium, 50)),
        ("GHSA-1", r#","database_specific":{"severity":["x"]}"#, (Severity::High, 80)),
        ("GHSA-1", "", (Severity::High, 80)),
        ("MAL-2026-1", "", (Severity::Critical, 100)),
        ("MAL-2026-1", r#","database_specific":{"severity":"LOW"}"#, (Severity::Critical, 100)),
    ] {
        assert_eq!(rating(&of(id, rest)), expected, "{id} {rest}");
    }
}

#[test]
fn keys_and_cves() {
    let json = r#"{"id":"GHSA-1","modified":"","aliases":["X-1","CVE-2026-12345"],
        "affected":[{"package":{"ecosystem":"Debian:12","name":"curl","purl":"x"}},{"package":{"ecosystem":"PyPI","name":"Foo.Bar"}}]}"#;
    let advisory: Advisory = serde_json::from_str(json).unwrap();
    assert_eq!(advisory.cve(), Some("CVE-2026-12345"));
    let keys: Vec<_> =
        advisory.affected.iter().map(|affected| affected.package.as_ref().unwrap().key()).collect();
    assert_eq!(keys, [("Debian", "curl".to_owned()), ("PyPI", "foo-bar".to_owned())]);
}

/// Bytes that nobody meant as versions, package URLs, bills or advisories: an answer, never a panic.
#[test]
fn damaged_input_gets_an_answer() {
    let seeds = [
        r#"{"bomFormat":"CycloneDX","components":[{"name":"a","version":"1.0","purl":"pkg:npm/%40a/b@1.0?x#y"}]}"#,
        r#"{"id":"A","modified":"x","severity":[{"score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"PyPI","name":"a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1!2.0rc1.post2.dev3+local"}]}]}]}"#,
        "1!2.0rc1.post2.dev3+local.7",
        "1.2.3-rc.1+build.5",
        "pkg:golang/github.com/a/b@v1.2.3",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        ">=1.2.0, <1.4.1 || =2.0.0",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let letters = [
        "\u{0}",
        "9",
        "-",
        ".",
        "%",
        "@",
        "/",
        "\u{e9}",
        "\u{1f600}",
        "\"",
        "{",
        "99999999999999999999",
    ];
    for _ in 0..4_000 {
        let mut text = seeds[next(seeds.len())].to_owned();
        for _ in 0..=next(3) {
            let at =
                (0..=text.len()).filter(|at| text.is_char_boundary(*at)).nth(next(text.len() + 1));
            let at = at.unwrap_or(0);
            match next(3) {
                0 => text.insert_str(at, letters[next(letters.len())]),
                1 => text.truncate(at),
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        drop(crate::sbom::parse(text.as_bytes()));
        let component = crate::sbom::Component { purl: text.clone(), ..Default::default() };
        drop(crate::sbom::package(&component));
        drop(Tenths::of_vector(&text));
        drop(text.parse::<crate::vulnerability::Ranges>());
        let ended = range("ECOSYSTEM", r#"{"introduced":"0"},{"fixed":"1.0"}"#);
        // No list of versions: nobody knows the order of Maven's.
        assert_eq!(ended.affect("Maven", &text), Match::Unknown);
        assert_eq!(ended.affect("PyPI", &text), ended.affect("PyPI", &text));
        assert_eq!(ended.affect("npm", &text), ended.affect("npm", &text));
        if let Ok(advisory) = serde_json::from_str::<Advisory>(&text) {
            for affected in &advisory.affected {
                assert!(advisory.rating(affected).score <= 100);
                let found = affected.versions.affect("PyPI", "1.0");
                assert_eq!(found, affected.versions.affect("PyPI", "1.0"));
            }
        }
    }
}
