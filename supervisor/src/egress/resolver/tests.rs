//! Queries as bytes: what is answered, that every malformed kind is refused for what it is, and that damage never gets an
//! address for a name that is not allowed.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use policies::domain::{DomainName, DomainPattern};
use policies::plan::egress::Egress;
use policies::violation::Code;

use super::*;
use crate::egress::names::{NameRefusal, Names};
use crate::egress::ranges::Ranges;
use crate::egress::ruleset::tests::egress;

/// A query for an address of `api.example.com`.
pub(super) fn query() -> Vec<u8> {
    query_for("api.example.com.", RecordType::A)
}

/// Whether a reply to [`query`] has an address.
pub(super) fn understood(reply: &[u8]) -> bool {
    Message::from_vec(reply).is_ok_and(|message| message.answers.len() == 1)
}

fn query_for(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 7;
    message.metadata.op_code = OpCode::Query;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// Of rules that allow `api.example.com` only.
fn ask(bytes: &[u8]) -> Answer {
    let egress = egress(&[443]);
    let mut names = Names::new(&egress, Ranges::default());
    answer(bytes, Transport::Udp, &mut names, &egress)
}

/// A message by its parts: RFC 1035, section 4.1.1.
fn raw(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let [questions, answers, authorities, additionals] = counts;
    let header = [7, flags, questions, answers, authorities, additionals];
    let header: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
    [&header, rest].concat()
}

/// A question of so long labels, for A.
fn labels(lengths: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for length in lengths {
        bytes.push(*length);
        bytes.resize(bytes.len() + usize::from(*length), b'x');
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

/// An OPT record: RFC 6891, section 6.1.2.
fn opt(version: u8, length: u16, data: &[u8]) -> Vec<u8> {
    [&[0, 0, 41, 4, 208, 0, version, 0, 0][..], &length.to_be_bytes(), data].concat()
}

#[test]
fn an_allowed_name_has_addresses_and_another_does_not_exist() {
    for kind in [RecordType::A, RecordType::AAAA] {
        let answer = ask(&query_for("API.Example.com.", kind));
        assert_eq!(answer.outcome, Outcome::Answered);
        let reply = Message::from_vec(&answer.reply).unwrap();
        assert_eq!((reply.metadata.id, reply.answers.len()), (7, 1));
        assert_eq!(reply.queries[0].name().to_ascii(), "API.Example.com.");
    }
    assert_eq!(ask(&query_for("api.example.com.", RecordType::HTTPS)).outcome, Outcome::Empty);
    for name in ["example.com.", "x.api.example.com.", "evilapi.example.com.", "com."] {
        let answer = ask(&query_for(name, RecordType::A));
        let why = NameRefusal::NotAllowed;
        let name = name.trim_end_matches('.').to_owned();
        assert_eq!(answer.outcome, Outcome::Refused { name, asked: Asked::V4, why });
        let reply = Message::from_vec(&answer.reply).unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
        assert!(reply.answers.is_empty());
    }
}

#[test]
fn damage_never_answers_and_never_panics() {
    let denied = query_for("secret.attacker.example.", RecordType::A);
    for length in 0..denied.len() {
        assert!(matches!(ask(&denied[..length]).outcome, Outcome::Malformed(_)), "{length}");
    }
    for at in 0..denied.len() {
        for bit in 0..8 {
            let mut damaged = denied.clone();
            damaged[at] ^= 1 << bit;
            assert_ne!(ask(&damaged).outcome, Outcome::Answered, "byte {at}, bit {bit}");
        }
    }
    let mut trailing = denied;
    trailing.push(0);
    assert_eq!(ask(&trailing).outcome, Outcome::Malformed(Malformed::Trailing));
}

const QUESTION: &[u8] = b"\x03api\x07example\x03com\0\0\x01\0\x01";

/// Malformed messages, what is wrong with them, and what is replied.
fn malformed() -> Vec<(Vec<u8>, Malformed, Option<ResponseCode>)> {
    use Malformed::{
        Class, Long, Operation, Options, Question, Questions, Records, Response, Short, Trailing,
        Version,
    };
    let one = [1, 0, 0, 0];
    let with_opt = |opt: &[u8]| raw(0x100, [1, 0, 0, 1], &[QUESTION, opt].concat());
    let class = |class: u8| [&QUESTION[..QUESTION.len() - 1], &[class]].concat();
    let form = Some(ResponseCode::FormErr);
    let mut cases = vec![
        (vec![], Short, None),
        (raw(0, one, QUESTION)[..1].to_vec(), Short, None),
        (raw(0, one, QUESTION)[..11].to_vec(), Short, None),
        (raw(0x8180, one, QUESTION), Response, None),
        (raw(0x8000, [0; 4], &[]), Response, None),
        // A response stays one, however long and whatever else is wrong.
        (raw(0xffff, [9; 4], &vec![0xff; MAX_QUERY]), Response, None),
        (raw(0x100, one, &vec![0; MAX_QUERY - 11]), Long, form),
        (raw(0x100, [0, 0, 0, 0], &[]), Questions, form),
        (raw(0x100, [0, 0, 0, 0], QUESTION), Questions, form),
        (raw(0x100, [2, 0, 0, 0], &QUESTION.repeat(2)), Questions, form),
        (raw(0x100, [65535, 0, 0, 0], QUESTION), Questions, form),
        (raw(0x100, [1, 1, 0, 0], QUESTION), Records, form),
        (raw(0x100, [1, 0, 1, 0], QUESTION), Records, form),
        (raw(0x100, [1, 65535, 65535, 65535], QUESTION), Records, form),
        (raw(0x100, [1, 0, 0, 1], QUESTION), Records, form),
        (raw(0x100, [1, 0, 0, 2], &[QUESTION, &opt(0, 0, &[]).repeat(2)].concat()), Records, form),
        // An A record where only OPT may be; an OPT record of a name.
        (with_opt(&[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1]), Records, form),
        (with_opt(&[&[1, b'x'], &opt(0, 0, &[])[..]].concat()), Records, form),
        (with_opt(&opt(0, 1, &[])), Options, form),
        (with_opt(&opt(0, 65535, &[])), Options, form),
        (with_opt(&opt(0, 0, &[])[..10]), Options, form),
        (with_opt(&opt(1, 0, &[])), Version, Some(ResponseCode::BADVERS)),
        (with_opt(&opt(255, 0, &[])), Version, Some(ResponseCode::BADVERS)),
        (with_opt(&opt(0, 0, &[0])), Trailing, form),
        (raw(0x100, one, &[QUESTION, &[0]].concat()), Trailing, form),
        (raw(0x100, one, &[QUESTION, QUESTION].concat()), Trailing, form),
        // An OPT record that the header does not tell of.
        (raw(0x100, one, &[QUESTION, &opt(0, 0, &[])].concat()), Trailing, form),
        (raw(0x100, one, &labels(&[63, 63, 63, 62])), Question, form),
        (raw(0x100, one, &labels(&[1; 128])), Question, form),
        (raw(0x100, one, &labels(&[64])), Question, form),
        (raw(0x100, one, &labels(&[128])), Question, form),
        (raw(0x100, one, b"\x03api"), Question, form),
        (raw(0x100, one, b"\x09api"), Question, form),
        (raw(0x100, one, &[]), Question, form),
    ];
    // Pointers: to itself, into the header, ahead, behind, after a label.
    for name in [
        &b"\xc0\x0c"[..],
        b"\xc0\x00",
        b"\xc0\x02",
        b"\xc0\x12\0\x01\0\x01\x01x\0",
        b"\xc0\xff",
        b"\xff\xff",
        b"\x01x\xc0\x0c",
        b"\x01x\xc0\x0e",
        b"\x03api\xc0\x04",
    ] {
        let question = [name, &[0, 1, 0, 1]].concat();
        cases.push((raw(0x100, one, &question), Question, form));
    }
    for end in 0..QUESTION.len() {
        cases.push((raw(0x100, one, &QUESTION[..end]), Question, form));
    }
    for code in 1..16 {
        let reply = Some(ResponseCode::NotImp);
        cases.push((raw(code << 11, one, QUESTION), Operation, reply));
    }
    for number in [0, 2, 3, 4, 254, 255] {
        cases.push((raw(0x100, one, &class(number)), Class, Some(ResponseCode::Refused)));
    }
    cases
}

#[test]
fn every_malformed_kind_is_ignored_or_refused_and_counted() {
    for (bytes, reason, code) in malformed() {
        let Answer { reply, outcome } = ask(&bytes);
        assert_eq!(outcome, Outcome::Malformed(reason), "{bytes:02x?}");
        assert_eq!(reply.is_empty(), code.is_none(), "{bytes:02x?}");
        if let Some(code) = code {
            let reply = Message::from_vec(&reply).unwrap();
            assert_eq!(reply.metadata.id, 7);
            // As numbers: BADVERS shares its own with BADSIG.
            let replied = u16::from(reply.metadata.response_code);
            assert_eq!(replied, u16::from(code), "{bytes:02x?}");
            assert!(reply.queries.is_empty() && reply.answers.is_empty());
        }
        let queries = Queries::default();
        let refusal = queries.count(outcome, Transport::Udp).unwrap();
        assert_eq!(refusal.code, Code::QueryMalformed);
        let expected = DnsReport { queries: 1, malformed: 1, ..DnsReport::default() };
        assert_eq!(queries.report(), expected);
    }
}

#[test]
fn the_longest_and_the_shortest_name_are_understood() {
    for (question, length) in [(labels(&[63, 63, 63, 61]), 253), (labels(&[1; 127]), 253)] {
        let outcome = ask(&raw(0x100, [1, 0, 0, 0], &question)).outcome;
        let Outcome::Refused { name, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(name.len(), length);
    }
    let outcome = ask(&raw(0x100, [1, 0, 0, 0], &labels(&[]))).outcome;
    assert!(matches!(&outcome, Outcome::Refused { name, .. } if name == "."), "{outcome:?}");
}

#[test]
fn edns_is_answered_with_edns() {
    for (opt, has) in [
        (opt(0, 0, &[]), true),
        // A cookie, and an option that nobody knows.
        (opt(0, 12, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]), true),
        (opt(0, 5, &[0xff, 0xff, 0, 1, 0]), true),
        (vec![], false),
    ] {
        let counts = [1, 0, 0, u16::from(has)];
        let answer = ask(&raw(0x100, counts, &[QUESTION, &opt].concat()));
        assert_eq!(answer.outcome, Outcome::Answered, "{opt:?}");
        assert_eq!(Message::from_vec(&answer.reply).unwrap().edns.is_some(), has);
    }
}

/// Rules that allow every name beneath `example.com`, as many as there are.
fn wildcard() -> Egress {
    let mut egress = egress(&[443]);
    let base = DomainName::from_ascii("example.com").unwrap();
    egress.rules[0].names = DomainPattern::Subdomains(base);
    egress.limits.names_per_wildcard = u32::MAX;
    egress
}

#[test]
fn names_beyond_the_synthetic_range_do_not_exist() {
    let egress = wildcard();
    let ranges = Ranges { synthetic_v4: "198.18.0.0/28".parse().unwrap(), ..Ranges::default() };
    let mut names = Names::new(&egress, ranges);
    let queries = Queries::default();
    let mut ask = |number: u32| {
        let query = query_for(&format!("n{number}.example.com."), RecordType::A);
        let answer = answer(&query, Transport::Udp, &mut names, &egress);
        let code = Message::from_vec(&answer.reply).unwrap().metadata.response_code;
        (code, queries.count(answer.outcome, Transport::Udp))
    };
    for number in 0..13 {
        assert_eq!(ask(number), (ResponseCode::NoError, None), "{number}");
    }
    for number in 13..20 {
        let (code, refusal) = ask(number);
        assert_eq!(code, ResponseCode::NXDomain);
        let refusal = refusal.unwrap();
        assert_eq!(refusal.code, Code::NameLimit);
        assert_eq!(refusal.rule, "egress: synthetic addresses");
    }
    // Names that have an address keep it.
    assert_eq!(ask(0), (ResponseCode::NoError, None));
    assert_eq!(queries.report().names_refused, 7);
}
