//! Messages over a real connection, and lengths that do not fit them.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use policies::violation::Code;
use tokio::task::LocalSet;

use super::*;
use crate::egress::names::Names;
use crate::egress::owner::Owners;
use crate::egress::ranges::Ranges;
use crate::egress::refusals::Refusals;
use crate::egress::resolver::tests::{query, understood};
use crate::egress::resolver::{DnsReport, Queries};
use crate::egress::ruleset::tests::egress;
use crate::egress::traffic::Traffic;
use crate::egress::upstream::Upstream;

/// Sends these pieces and closes that direction, if `finish`; returns everything that comes back.
fn converse_with(pieces: Vec<Vec<u8>>, finish: bool) -> (Vec<u8>, DnsReport, Vec<Code>) {
    let rules = egress(&[443]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let context = Rc::new(Context {
        names: RefCell::new(Names::new(&rules, Ranges::default())),
        egress: rules,
        refusals: Refusals::new().unwrap(),
        traffic: Traffic::default(),
        upstream: Upstream::default(),
        queries: Queries::default(),
        owners: Owners::open(&listener).unwrap(),
        usage: crate::egress::proxy::Usage::default(),
    });
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let serving = local.spawn_local(serve_tcp(listener, Rc::clone(&context)));
    let client = thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        for piece in pieces {
            client.write_all(&piece).unwrap();
        }
        if finish {
            client.shutdown(Shutdown::Write).unwrap();
        }
        let mut replies = Vec::new();
        // A reset where bytes were left unread.
        if let Err(error) = client.read_to_end(&mut replies) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        replies
    });
    let replies = local.block_on(&runtime, async {
        while !client.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        client.join().unwrap()
    });
    serving.abort();
    let codes = context.refusals.take().into_iter().map(|(refusal, _)| refusal.code).collect();
    (replies, context.queries.report(), codes)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The messages of a stream.
fn messages(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk() {
        let (message, after) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        messages.push(message);
        stream = after;
    }
    messages
}

#[test]
fn queries_come_in_any_pieces() {
    let query = framed(&query());
    let bytes: Vec<Vec<u8>> = query.iter().map(|byte| vec![*byte]).collect();
    for pieces in [
        vec![query.clone(), query.clone()],
        vec![query.repeat(2)],
        [bytes.clone(), bytes.clone()].concat(),
    ] {
        let (replies, report, codes) = converse_with(pieces, true);
        let replies = messages(&replies);
        assert_eq!(replies.len(), 2);
        assert!(replies.into_iter().all(understood));
        assert_eq!((report.queries, report.answered), (2, 2));
        assert!(codes.is_empty());
    }
}

#[test]
fn a_length_that_is_not_the_messages_ends_the_connection() {
    let query = query();
    let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes().to_vec();
    for (start, finish, replies, malformed) in [
        // Nothing, less than a header: no reply, and what follows is not read.
        (length(0), false, 0, 1),
        (length(11), false, 0, 1),
        // More than is read: refused by its header.
        (length(MAX_QUERY + 1), false, 0, 1),
        (vec![0xff, 0xff], false, 0, 1),
        // More than comes: no message at all.
        (length(query.len() + 1), true, 0, 0),
        (length(MAX_QUERY), true, 0, 0),
    ] {
        let (stream, report, codes) =
            converse_with(vec![[start.clone(), query.clone()].concat()], finish);
        assert_eq!(messages(&stream).len(), replies, "{start:?}");
        assert_eq!((report.queries, report.malformed), (malformed, malformed), "{start:?}");
        let expected: &[Code] = if malformed == 0 { &[] } else { &[Code::QueryMalformed] };
        assert_eq!(codes, expected, "{start:?}");
    }
    // A byte less: a question that is cut off, which gets a reply; the byte that is left is half a length.
    let (stream, report, _) = converse_with(vec![[length(query.len() - 1), query].concat()], true);
    assert_eq!(messages(&stream).len(), 1);
    assert_eq!((report.queries, report.malformed), (1, 1));
}
