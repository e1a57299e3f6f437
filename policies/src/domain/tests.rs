use super::{DomainError, DomainName, DomainPattern};

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap_or_else(|error| panic!("{text} {error}"))
}

#[test]
fn names_that_people_write_become_what_is_compared() {
    for (text, expected) in [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("example。com", "example.com"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("my_bucket.storage.example", "my_bucket.storage.example"),
        ("r3---sn-4g5e.video.example", "r3---sn-4g5e.video.example"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("erp.corp.local", "erp.corp.local"),
    ] {
        assert_eq!(name(text).as_str(), expected, "{text}");
        // What was read is what the resolver compares.
        assert_eq!(DomainName::from_ascii(expected).unwrap(), name(text));
    }
}

#[test]
fn what_is_no_name_is_refused_with_the_reason() {
    let label = "a".repeat(64);
    let long = format!("{}com", "a.".repeat(126));
    let cases: &[(&str, DomainError)] = &[
        ("", DomainError::Empty),
        (".", DomainError::Empty),
        ("..", DomainError::BadLabel),
        ("a..com", DomainError::BadLabel),
        (".example.com", DomainError::BadLabel),
        ("example.com..", DomainError::BadLabel),
        (&format!("{label}.com"), DomainError::BadLabel),
        (&long, DomainError::NameTooLong),
        ("a b.com", DomainError::BadCharacter),
        ("a\0.com", DomainError::BadCharacter),
        ("a\n.com", DomainError::BadCharacter),
        ("https://example.com", DomainError::BadCharacter),
        ("example.com/path", DomainError::BadCharacter),
        ("user@example.com", DomainError::BadCharacter),
        ("-a.example.com", DomainError::BadCharacter),
        ("a-.example.com", DomainError::BadCharacter),
        ("127.0.0.1", DomainError::Address),
        ("10.1", DomainError::Address),
        ("2130706433", DomainError::Address),
        ("0x7f000001", DomainError::Address),
        ("0177.0.0.1", DomainError::Address),
        ("1.2.3.0x4", DomainError::Address),
        ("127.0.0.1.", DomainError::Address),
        ("１２７.0.0.1", DomainError::Address),
        ("127。0。0。1", DomainError::Address),
        ("::1", DomainError::Address),
        ("[::1]", DomainError::Address),
        ("2001:db8::1", DomainError::Address),
        ("fe80::1%eth0", DomainError::Address),
        ("::ffff:127.0.0.1", DomainError::Address),
        ("localhost", DomainError::Local),
        ("LOCALHOST.", DomainError::Local),
        ("a.localhost", DomainError::Local),
        ("intranet", DomainError::OneLabel),
        ("xn--a.example", DomainError::Idna),
        ("xn--99999999999.example", DomainError::Idna),
        ("xn--example-.example", DomainError::BadCharacter),
        ("a\u{200b}b\u{202e}.example", DomainError::Idna),
        ("*.example.com", DomainError::Wildcard),
        ("a*.example.com", DomainError::Wildcard),
    ];
    for (text, expected) in cases {
        assert_eq!(DomainName::parse(text), Err(*expected), "{text:?}");
        assert!(!expected.hint().is_empty());
    }
}

#[test]
fn what_is_left_has_only_plain_characters() {
    // Homographs of the separators must not become separators.
    for text in ["a／b.example", "a＠b.example", "a：443.example", "a＊.example", "a？b.example"]
    {
        assert!(DomainName::parse(text).is_err(), "{text}");
    }
}

#[test]
fn patterns_are_names_wildcards_and_the_star() {
    let parse = DomainPattern::parse;
    assert_eq!(parse("*"), Ok(DomainPattern::Any));
    assert_eq!(parse("*.example.com"), Ok(DomainPattern::Subdomains(name("example.com"))));
    assert_eq!(parse("*.Bücher.example"), Ok(DomainPattern::Subdomains(name("bücher.example"))));
    assert_eq!(parse("api.example.com"), Ok(DomainPattern::Exact(name("api.example.com"))));
    for text in ["**", "*.*", "*.*.com", "a.*.com", "a*.example.com", "*a.example.com", "example.*"]
    {
        assert_eq!(parse(text), Err(DomainError::Wildcard), "{text}");
    }
    for (text, expected) in [
        ("*.", DomainError::Empty),
        ("*..com", DomainError::BadLabel),
        ("*.10.0.0.1", DomainError::Address),
        ("*.localhost", DomainError::Local),
        ("＊.example.com", DomainError::BadCharacter),
    ] {
        assert_eq!(parse(text), Err(expected), "{text}");
    }
}

#[test]
fn public_suffixes_are_nobodys_to_allow() {
    let refused = [
        "com",
        "co.uk",
        "CO.UK.",
        "*.com",
        "*.co.uk",
        "*.github.io",
        "*.internal",
        "*.local",
        "*.kawasaki.jp",
        "*.anything.ck",
        "*.公司.cn",
        "*.xn--55qx5d.cn",
        "xn--55qx5d.cn",
        "*.s3.amazonaws.com",
    ];
    for text in refused {
        let wanted = if text == "com" { DomainError::OneLabel } else { DomainError::PublicSuffix };
        assert_eq!(DomainPattern::parse(text), Err(wanted), "{text}");
    }
    let allowed = [
        "*.example.com",
        "*.example.co.uk",
        "*.acme.github.io",
        "github.io",
        "*.corp.internal",
        "erp.internal",
        "*.city.kawasaki.jp",
        "*.www.ck",
        "*.firma.公司.cn",
    ];
    for text in allowed {
        assert!(DomainPattern::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn a_wildcard_means_one_label_or_more_and_never_the_apex() {
    let pattern = DomainPattern::parse("*.example.com").unwrap();
    for (text, expected) in [
        ("a.example.com", true),
        ("a.b.example.com", true),
        ("example.com", false),
        ("evilexample.com", false),
        ("a.evilexample.com", false),
        ("example.com.evil.example", false),
        ("example.org", false),
    ] {
        assert_eq!(pattern.matches(&name(text)), expected, "{text}");
    }
    let exact = DomainPattern::parse("api.example.com").unwrap();
    assert!(exact.matches(&name("API.example.com.")));
    assert!(!exact.matches(&name("a.api.example.com")) && !exact.matches(&name("example.com")));
    assert!(DomainPattern::Any.matches(&name("anything.example")));
}

#[test]
fn patterns_print_as_they_are_written() {
    for text in ["*", "*.example.com", "api.example.com"] {
        assert_eq!(DomainPattern::parse(text).unwrap().to_string(), text);
    }
}
