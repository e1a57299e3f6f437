use super::{Hello, MOST, MOST_RECORDS, Progress};

/// What OpenSSL 3.0 sends to `api.example.com`.
const NAMED: &str = "\
    1603010200010001fc0303bc7446a16e87496b3abfcefbce1c85d42465d4dd36a181b814c18a66c7742a1b20e9ec\
    e8d68a12631421f7ef3dfb4dc5fb1ab8d24d056b5f2eb5f6bfcdfde828ca0024130213031301c02cc030c02bc02f\
    cca9cca8c024c028c023c027009f009e006b006700ff0100018f00000014001200000f6170692e6578616d706c65\
    2e636f6d000b000403000102000a00160014001d0017001e00190018010001010102010301040023000000160000\
    00170000000d002a0028040305030603080708080809080a080b0804080508060401050106010303030103020402\
    05020602002b00050403040303002d00020101003300260024001d0020f0390c80cd536a07c18b473e6d2743c341\
    d3c32cc379980f67f3c63fc315bc2b001500de000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    0000000000000000000000";
/// The same without a server name.
const NAMELESS: &str = "\
    1603010200010001fc03032857100b254931d2983b49db06cd396f039d4243e771cc13c33bebf167bb74242040db\
    a1039bc3624927111d402315985bbdfdd89a863516c2ba50607f5c61a3ff0024130213031301c02cc030c02bc02f\
    cca9cca8c024c028c023c027009f009e006b006700ff0100018f000b000403000102000a00160014001d0017001e\
    0019001801000101010201030104002300000016000000170000000d002a0028040305030603080708080809080a\
    080b080408050806040105010601030303010302040205020602002b00050403040303002d000201010033002600\
    24001d00203592300b03f9a3802d2a451e48cc86cb207bca525cb36ac02205a81b6d40c374001500f60000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    0000000000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn once(bytes: &[u8]) -> Progress {
    Hello::default().feed(bytes)
}

fn named() -> Progress {
    Progress::Name("api.example.com".to_owned())
}

fn vector(content: &[u8]) -> Vec<u8> {
    let mut vector = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    vector.extend_from_slice(content);
    vector
}

/// A message in records of so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [vec![22, 3, 1], vector(part)].concat()).collect()
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], body].concat()
}

/// A hello with these extensions.
fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let extensions: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, content)| [kind.to_be_bytes().to_vec(), vector(content)].concat())
        .collect();
    let fixed = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    records(&message(&[fixed, vector(&extensions)].concat()), 16384)
}

fn names(names: &[(u8, &str)]) -> (u16, Vec<u8>) {
    let list: Vec<u8> = names
        .iter()
        .flat_map(|(kind, name)| [vec![*kind], vector(name.as_bytes())].concat())
        .collect();
    (0, vector(&list))
}

fn refused(bytes: &[u8]) -> bool {
    matches!(once(bytes), Progress::Refused(_))
}

#[test]
fn a_real_hello_has_its_name() {
    assert_eq!(once(&bytes(NAMED)), named());
    assert_eq!(once(&bytes(NAMELESS)), Progress::NoName);
}

#[test]
fn pieces_make_no_difference() {
    let whole = bytes(NAMED);
    for at in 1..whole.len() {
        let mut hello = Hello::default();
        assert_eq!(hello.feed(&whole[..at]), Progress::More, "{at}");
        assert_eq!(hello.feed(&whole[at..]), named(), "{at}");
    }
    let mut hello = Hello::default();
    let (last, others) = whole.split_last().unwrap();
    for byte in others {
        assert_eq!(hello.feed(&[*byte]), Progress::More);
    }
    assert_eq!(hello.feed(&[*last]), named());
}

#[test]
fn records_make_no_difference() {
    let whole = bytes(NAMED);
    for size in 1..whole.len() - 5 {
        assert_eq!(once(&records(&whole[5..], size)), named(), "{size}");
    }
}

#[test]
fn one_name_in_one_extension() {
    let good = names(&[(0, "a.example.com")]);
    let name = Progress::Name("a.example.com".to_owned());
    assert_eq!(once(&hello(std::slice::from_ref(&good))), name);
    assert_eq!(once(&hello(&[(43, vec![2, 3, 4]), good.clone(), (21, vec![0; 9])])), name);
    assert_eq!(once(&hello(&[(43, vec![2, 3, 4])])), Progress::NoName);
    for extensions in [
        vec![good.clone(), good.clone()],
        vec![good.clone(), names(&[(0, "b.example.com")])],
        vec![good, (43, vec![]), (43, vec![])],
        vec![names(&[(0, "a.example.com"), (0, "b.example.com")])],
        vec![names(&[(0, "a.example.com"), (1, "b.example.com")])],
        vec![names(&[(1, "a.example.com")])],
        vec![names(&[(0, "")])],
        vec![names(&[])],
        vec![(0, vec![])],
        vec![(0, [vector(&[&[0][..], &vector(b"a.b")].concat()), vec![0]].concat())],
        vec![(0, vector(&[0, 0, 9, b'a']))],
    ] {
        assert!(refused(&hello(&extensions)), "{extensions:?}");
    }
}

#[test]
fn lengths_that_disagree_are_refused() {
    let whole = bytes(NAMED);
    // Any body that ends too early, with the lengths around it right.
    let body = &whole[9..];
    for length in 0..body.len() {
        let result = once(&records(&message(&body[..length]), 16384));
        // Without extensions a hello is whole: older versions have none.
        let bare = matches!(result, Progress::NoName);
        assert!(matches!(result, Progress::Refused(_)) || bare, "{length}: {result:?}");
        assert!(result != named());
    }
    assert!(refused(&records(&message(&[body, &[0]].concat()), 16384)));
    assert!(refused(&records(&[&whole[5..], &[1, 0, 0, 0]].concat(), 16384)));
}

#[test]
fn what_is_no_hello_is_refused_at_once() {
    for start in [
        &[21, 3, 1, 0, 2][..],
        &[22, 2],
        &[22, 3, 9],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0xff, 0xff],
        &[22, 3, 1, 0, 1, 2],
        b"GET / HTTP/1.1\r\n",
    ] {
        assert!(refused(start), "{start:?}");
    }
    // Another record in the middle of the message.
    let mut split = records(&bytes(NAMED)[5..105], 100);
    split.extend_from_slice(&[21, 3, 1, 0, 2, 1, 0]);
    assert!(refused(&split));
}

#[test]
fn a_hello_is_bounded() {
    let length = u32::try_from(MOST + 1).unwrap().to_be_bytes();
    assert!(refused(&records(&[&[1], &length[1..]].concat(), 16384)));
    let longest = u32::try_from(MOST).unwrap().to_be_bytes();
    assert_eq!(once(&records(&[&[1], &longest[1..]].concat(), 16384)), Progress::More);
}

#[test]
fn records_of_a_hello_are_bounded_with_their_headers() {
    let longest = message(&vec![0; MOST]);
    let cut = &longest[..longest.len() - 1];
    assert_eq!(once(&records(cut, 32)), Progress::More);
    // Six bytes for one of the message: without a bound 384 KiB would be kept.
    let tiny = records(cut, 1);
    let refused = Progress::Refused("TLS client hello in too many records");
    assert_eq!(once(&tiny), refused);
    let mut hello = Hello::default();
    let kept = tiny.chunks(4096).take_while(|piece| hello.feed(piece) == Progress::More).count();
    assert_eq!(kept, MOST_RECORDS / 4096);
}

#[test]
fn any_changed_byte_gives_an_answer_and_never_another_name_by_chance() {
    let whole = bytes(NAMED);
    let name = whole.windows(15).position(|part| part == b"api.example.com").unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            let result = once(&changed);
            if !(name..name + 15).contains(&at)
                && let Progress::Name(found) = &result
            {
                assert_eq!(found, "api.example.com", "{at} {bit}");
            }
        }
    }
}
