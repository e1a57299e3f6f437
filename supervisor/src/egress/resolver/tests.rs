//! Queries as bytes: what is answered, and that damage never gets an address for a name that is not allowed.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::*;
use crate::egress::names::{NameRefusal, Names};
use crate::egress::ranges::Ranges;
use crate::egress::ruleset::tests::egress;

fn query(name: &str, kind: RecordType) -> Vec<u8> {
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

#[test]
fn an_allowed_name_has_addresses_and_another_does_not_exist() {
    for kind in [RecordType::A, RecordType::AAAA] {
        let answer = ask(&query("API.Example.com.", kind));
        assert_eq!(answer.outcome, Outcome::Answered);
        let reply = Message::from_vec(&answer.reply).unwrap();
        assert_eq!((reply.metadata.id, reply.answers.len()), (7, 1));
        assert_eq!(reply.queries[0].name().to_ascii(), "API.Example.com.");
    }
    assert_eq!(ask(&query("api.example.com.", RecordType::HTTPS)).outcome, Outcome::Empty);
    for name in ["example.com.", "x.api.example.com.", "evilapi.example.com.", "com."] {
        let answer = ask(&query(name, RecordType::A));
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
    let denied = query("secret.attacker.example.", RecordType::A);
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
