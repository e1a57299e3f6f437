use super::*;

const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// xorshift64*: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % bound
    }
}

fn list(rng: &mut Numbers) -> FileList {
    const ALPHABET: &[u8] = b"abcXYZ019._+-@";
    let mut entries = Vec::new();
    let files = 1 + rng.below(12);
    while entries.len() < files {
        let depth = 1 + rng.below(3);
        let component = |rng: &mut Numbers| {
            let length = 1 + rng.below(8);
            (0..length).map(|_| char::from(ALPHABET[rng.below(ALPHABET.len())])).collect::<String>()
        };
        let path = (0..depth).map(|_| component(rng)).collect::<Vec<_>>().join("/");
        let mut bytes = [0; 32];
        bytes.fill_with(|| u8::try_from(rng.below(256)).unwrap());
        let entry = Entry {
            mode: [FileMode::Plain, FileMode::Executable][rng.below(2)],
            size: u64::try_from(rng.below(1 << 20)).unwrap(),
            sha256: Digest::from_bytes(bytes),
            path,
        };
        let mut more = entries.clone();
        more.push(entry);
        // Random paths are often no paths, or clash.
        if FileList::new("a.b".to_owned(), Version::new(1, 0, 0), more.clone()).is_ok() {
            entries = more;
        }
    }
    let version = Version::parse(["1.2.3", "0.1.0-rc.1+b5"][rng.below(2)]).unwrap();
    FileList::new(["acme.hello", "a.b-c.d"][rng.below(2)].to_owned(), version, entries).unwrap()
}

#[test]
fn what_is_rendered_is_what_is_parsed() {
    let mut rng = Numbers(7);
    for _ in 0..100 {
        let list = list(&mut rng);
        assert_eq!(FileList::parse(&list.render()).unwrap(), list);
    }
}

/// No two texts mean the same: whatever is done to a list, it is refused or says what it is.
#[test]
fn every_mutation_is_refused_or_has_its_own_meaning() {
    let mut rng = Numbers(11);
    let (mut refused, mut accepted) = (0, 0);
    let mut judge = |bytes: &[u8]| match FileList::parse(bytes) {
        Err(_) => refused += 1,
        Ok(list) => {
            accepted += 1;
            assert_eq!(list.render(), bytes, "{}", String::from_utf8_lossy(bytes));
        }
    };
    for _ in 0..6 {
        let text = list(&mut rng).render();
        for position in 0..text.len() {
            let mut other = text.clone();
            other.remove(position);
            judge(&other);
            for byte in
                [b' ', b'\n', b'\r', b'/', b'0', b'9', b'A', b'.', 0, 0xff, text[position] ^ 1]
            {
                let mut other = text.clone();
                other[position] = byte;
                judge(&other);
                let mut other = text.clone();
                other.insert(position, byte);
                judge(&other);
            }
            judge(&text[..position]);
        }
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        for _ in 0..20 {
            let (a, b) = (rng.below(lines.len()), rng.below(lines.len()));
            lines.swap(a, b);
            judge(&lines.concat());
            lines.push(lines[a]);
            judge(&lines.concat());
            lines.pop();
        }
    }
    assert!(refused > 3000 && accepted > 100, "{refused} refused, {accepted} accepted");
}

fn text(head: &str, files: &[&str]) -> Vec<u8> {
    let mut text = head.to_owned();
    for file in files {
        text.push_str(&file.replace("SUM", SUM));
        text.push('\n');
    }
    text.into_bytes()
}

const HEAD: &str = "sandboxctl-manifest 1\nid acme.hello\nversion 1.2.3\n";

#[test]
fn every_refusal_has_its_code_and_line() {
    let long = format!("0644 1 SUM {}", "a/".repeat(200));
    let component = format!("0644 1 SUM {}", "a".repeat(101));
    let path = format!("0644 1 SUM {0}/{0}/{0}/abc", "a".repeat(84));
    let deep = format!("0644 1 SUM {}b", "a/".repeat(32));
    let wide = "x".repeat(600);
    let huge = "0644 2147483648 SUM";
    let total = [format!("{huge} a"), format!("{huge} b"), "0644 1 SUM c".to_owned()];
    let total: Vec<&str> = total.iter().map(String::as_str).collect();
    let good = "0644 1 SUM a";
    let cases: &[(&str, usize, &str, &[&str])] = &[
        ("list-magic", 0, "", &[]),
        ("list-magic", 0, "sandboxctl-manifest 2\n", &[]),
        ("list-magic", 0, "\u{feff}sandboxctl-manifest 1\n", &[]),
        ("list-id", 0, "sandboxctl-manifest 1\n", &[]),
        ("list-id", 0, "sandboxctl-manifest 1\nid nodot\nversion 1.0.0\n", &[good]),
        ("list-id", 0, "sandboxctl-manifest 1\nid Acme.hello\nversion 1.0.0\n", &[good]),
        ("list-id", 0, "sandboxctl-manifest 1\nid a.b \nversion 1.0.0\n", &[good]),
        ("list-id", 0, "sandboxctl-manifest 1\nversion 1.0.0\nid a.b\n", &[good]),
        ("list-version", 0, "sandboxctl-manifest 1\nid a.b\n", &[]),
        ("list-version", 0, "sandboxctl-manifest 1\nid a.b\nversion 1.0\n", &[good]),
        ("list-version", 0, "sandboxctl-manifest 1\nid a.b\nversion  1.0.0\n", &[good]),
        ("list-no-files", 0, HEAD, &[]),
        ("list-fields", 4, HEAD, &[""]),
        ("list-fields", 5, HEAD, &[good, "0644 1 SUM"]),
        ("list-mode", 4, HEAD, &["4755 1 SUM a"]),
        ("list-mode", 4, HEAD, &["0600 1 SUM a"]),
        ("list-mode", 4, HEAD, &["644 1 SUM a"]),
        ("list-mode", 4, HEAD, &[" 0644 1 SUM a"]),
        ("list-size", 4, HEAD, &["0644 01 SUM a"]),
        ("list-size", 4, HEAD, &["0644 +1 SUM a"]),
        ("list-size", 4, HEAD, &["0644 -1 SUM a"]),
        ("list-size", 4, HEAD, &["0644 0x1 SUM a"]),
        ("list-size", 4, HEAD, &["0644  1 SUM a"]),
        ("list-file-too-large", 4, HEAD, &["0644 2147483649 SUM a"]),
        ("list-file-too-large", 4, HEAD, &["0644 99999999999999999999999 SUM a"]),
        ("list-total-too-large", 6, HEAD, &total),
        ("list-digest", 4, HEAD, &["0644 1 00 a"]),
        ("list-digest", 4, HEAD, &["0644 1  SUM a"]),
        ("list-order", 5, HEAD, &["0644 1 SUM b", "0644 1 SUM a"]),
        ("list-carriage-return", 4, HEAD, &["0644 1 SUM a\r"]),
        ("list-line-too-long", 4, HEAD, &[&wide]),
        ("path-duplicate", 5, HEAD, &[good, good]),
        ("path-empty", 4, HEAD, &["0644 1 SUM "]),
        ("path-absolute", 4, HEAD, &["0644 1 SUM /etc/passwd"]),
        ("path-dot-dot", 4, HEAD, &["0644 1 SUM ../x"]),
        ("path-dot-dot", 4, HEAD, &["0644 1 SUM a/../../x"]),
        ("path-dot", 4, HEAD, &["0644 1 SUM ./x"]),
        ("path-empty-component", 4, HEAD, &["0644 1 SUM a//b"]),
        ("path-empty-component", 4, HEAD, &["0644 1 SUM a/"]),
        ("path-leading-dash", 4, HEAD, &["0644 1 SUM -rf"]),
        ("path-leading-dash", 4, HEAD, &["0644 1 SUM a/-rf"]),
        ("path-character", 4, HEAD, &["0644 1 SUM a b"]),
        ("path-character", 4, HEAD, &["0644 1 SUM a\tb"]),
        ("path-character", 4, HEAD, &["0644 1 SUM a\\b"]),
        ("path-character", 4, HEAD, &["0644 1 SUM \u{202e}gpj.exe"]),
        ("path-character", 4, HEAD, &["0644 1 SUM caf\u{e9}"]),
        ("path-character", 4, HEAD, &["0644 1 SUM a\0"]),
        ("path-component-too-long", 4, HEAD, &[&component]),
        ("path-too-long", 4, HEAD, &[&long]),
        ("path-too-long", 4, HEAD, &[&path]),
        ("path-too-deep", 4, HEAD, &[&deep]),
        ("path-reserved", 4, HEAD, &["0644 1 SUM MANIFEST"]),
        ("path-reserved", 4, HEAD, &["0644 1 SUM MANIFEST.p7s"]),
        ("path-case-clash", 4, HEAD, &["0644 1 SUM manifest"]),
        ("path-file-is-folder", 4, HEAD, &["0644 1 SUM MANIFEST/a"]),
        ("path-case-clash", 5, HEAD, &["0644 1 SUM README", "0644 1 SUM readme"]),
        ("path-case-clash", 5, HEAD, &["0644 1 SUM Lib/a", "0644 1 SUM lib/b"]),
        ("path-case-clash", 5, HEAD, &["0644 1 SUM A", "0644 1 SUM a/b"]),
        ("path-file-is-folder", 6, HEAD, &[good, "0644 1 SUM a-b", "0644 1 SUM a/b"]),
    ];
    for (code, line, head, files) in cases {
        let bytes = text(head, files);
        let error = FileList::parse(&bytes).unwrap_err();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(error.code(), *code, "{error}: {shown}");
        if *line > 0 {
            assert!(error.to_string().contains(&format!("line {line}")), "{error}: {shown}");
        }
    }
    assert_eq!(
        FileList::parse(&vec![b'a'; MAX_LIST_BYTES + 1]).unwrap_err(),
        FileListError::TooLarge
    );
    let mut cut = text(HEAD, &[good]);
    cut.pop();
    assert_eq!(FileList::parse(&cut).unwrap_err(), FileListError::NoFinalNewline { line: 4 });
    let many: Vec<String> = (0..=MAX_FILES).map(|n| format!("0644 1 SUM {n:06}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = FileList::parse(&text(HEAD, &many)).unwrap_err();
    assert_eq!(error, FileListError::TooManyFiles { line: MAX_FILES + 4 });
    assert_eq!(FileList::parse(&text(HEAD, &many[1..])).unwrap().entries().len(), MAX_FILES);
}

#[test]
fn a_list_can_be_asked() {
    let files = ["0644 1 SUM a-b", "0755 2 SUM a/b/c", "0644 3 SUM a/d", "0644 0 SUM node/@x/y"];
    let list = FileList::parse(&text(HEAD, &files)).unwrap();
    assert_eq!(list.folders(), ["a", "a/b", "node", "node/@x"]);
    assert_eq!(list.total_bytes(), 6);
    assert_eq!(list.get("a/b/c").unwrap().mode, FileMode::Executable);
    assert_eq!(list.get("a/b"), None);
    let head = list.head();
    assert_eq!((head.id(), head.version().to_string().as_str()), ("acme.hello", "1.2.3"));
    // The head is read the same without the files, whatever they are.
    let mut text = list.render();
    text.extend_from_slice(b"0644 no file\n");
    assert_eq!(ListHead::parse(&text).as_ref(), Ok(head));
    assert_eq!(
        ListHead::parse(b"sandboxctl-manifest 1\nid acme.hello\n"),
        Err(FileListError::Version)
    );
}

#[test]
fn a_list_is_not_made_of_what_would_read_as_another() {
    let sha256 = SUM.parse().unwrap();
    let make = |id: &str, path: &str| {
        let entry = Entry { mode: FileMode::Plain, size: 1, sha256, path: path.to_owned() };
        FileList::new(id.to_owned(), Version::new(1, 0, 0), vec![entry])
    };
    assert_eq!(make("a.b", "c").unwrap().entries().len(), 1);
    let smuggled = format!("c\n0644 1 {SUM} d");
    assert_eq!(make("a.b", &smuggled).unwrap_err().code(), "path-character");
    assert_eq!(make("a.b\nversion 1.0.0", "c").unwrap_err().code(), "list-fields");
    assert_eq!(make("a", "c").unwrap_err().code(), "list-id");
}
