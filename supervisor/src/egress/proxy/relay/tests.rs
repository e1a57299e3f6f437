use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use policies::domain::DomainName;

use super::{End, Meter, relay};
use crate::egress::proxy::Usage;
use crate::egress::proxy::http::{Refused, Requests};
use crate::egress::traffic::Flow;

const LONG: Duration = Duration::from_mins(1);

/// Both ends of a connection over loopback.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
    }
    (near, far)
}

struct Rig {
    flow: Flow,
    usage: Usage,
    most: u64,
    idle: Duration,
    first: Vec<u8>,
    requests: Option<Requests>,
}

impl Default for Rig {
    fn default() -> Self {
        Self {
            flow: Flow::default(),
            usage: Usage::default(),
            most: u64::MAX,
            idle: LONG,
            first: Vec::new(),
            requests: None,
        }
    }
}

impl Rig {
    /// Relays between what the two ends do, each in a thread of its own. Both ends see a reset unless it ended well.
    fn run<C: Send + 'static, S: Send + 'static>(
        &mut self,
        client: impl FnOnce(TcpStream) -> C + Send + 'static,
        server: impl FnOnce(TcpStream) -> S + Send + 'static,
    ) -> (End, C, S) {
        let (client_end, from_client) = pair();
        let (server_end, to_server) = pair();
        let client = thread::spawn(move || client(client_end));
        let server = thread::spawn(move || server(server_end));
        let meter = Meter {
            flow: &self.flow,
            usage: &self.usage,
            most: self.most,
            idle: self.idle,
            buffers: &self.usage.buffers,
        };
        let (first, requests) = (std::mem::take(&mut self.first), self.requests.take());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let end = runtime.block_on(async {
            from_client.set_nonblocking(true).unwrap();
            to_server.set_nonblocking(true).unwrap();
            let from_client = tokio::net::TcpStream::from_std(from_client).unwrap();
            let to_server = tokio::net::TcpStream::from_std(to_server).unwrap();
            let end = relay(&from_client, &to_server, first, requests, &meter).await;
            if end != End::Done {
                from_client.set_zero_linger().unwrap();
                to_server.set_zero_linger().unwrap();
            }
            end
        });
        (end, client.join().unwrap(), server.join().unwrap())
    }

    fn bytes(&self) -> (u64, u64) {
        (self.flow.bytes_out.load(Ordering::Relaxed), self.flow.bytes_in.load(Ordering::Relaxed))
    }
}

fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

fn is_reset(mut stream: &TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

/// Bytes in which a part that is lost, doubled or moved shows.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(step).take(length).collect()
}

#[test]
fn the_client_may_finish_first() {
    let mut rig = Rig { first: b"before ".to_vec(), ..Rig::default() };
    let (end, got, seen) = rig.run(
        |mut client| {
            client.write_all(b"question").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            read_all(&client)
        },
        |mut server| {
            // Only the client's end lets this return.
            let seen = read_all(&server);
            server.write_all(b"answer").unwrap();
            seen
        },
    );
    assert_eq!((end, got, seen), (End::Done, b"answer".to_vec(), b"before question".to_vec()));
    assert_eq!(rig.bytes(), (15, 6));
    assert_eq!(rig.usage.bytes(), 21);
}

#[test]
fn the_server_may_finish_first() {
    let (end, got, seen) = Rig::default().run(
        |mut client| {
            let got = read_all(&client);
            client.write_all(b"late").unwrap();
            got
        },
        |mut server| {
            server.write_all(b"greeting").unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            read_all(&server)
        },
    );
    assert_eq!((end, got, seen), (End::Done, b"greeting".to_vec(), b"late".to_vec()));
}

#[test]
fn much_goes_both_ways_at_once() {
    const LENGTH: usize = 16 << 20;
    fn exchange(stream: &TcpStream, own: u64) -> Vec<u8> {
        let mut writing = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            writing.write_all(&pattern(LENGTH, own)).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let all = read_all(stream);
        writer.join().unwrap();
        all
    }
    let mut rig = Rig::default();
    let (end, got, seen) = rig.run(|client| exchange(&client, 1), |server| exchange(&server, 2));
    assert_eq!(end, End::Done);
    assert!(got == pattern(LENGTH, 2), "what the client got");
    assert!(seen == pattern(LENGTH, 1), "what the server got");
    let length = u64::try_from(LENGTH).unwrap();
    assert_eq!(rig.bytes(), (length, length));
}

#[test]
fn a_reset_is_passed_on() {
    let reset = |stream: TcpStream| {
        let none = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &none).unwrap();
    };
    let (end, was_reset, ()) = Rig::default().run(|client| is_reset(&client), reset);
    assert_eq!((end, was_reset), (End::Server, true));
    let (end, (), was_reset) = Rig::default().run(reset, |server| is_reset(&server));
    assert_eq!((end, was_reset), (End::Client, true));
}

#[test]
fn nothing_moves_for_ever() {
    let mut rig = Rig { idle: Duration::from_millis(50), ..Rig::default() };
    let (end, client, server) = rig.run(|client| is_reset(&client), |server| is_reset(&server));
    assert_eq!((end, client, server), (End::Idle, true, true));
}

#[test]
fn what_is_not_passed_on_does_not_move() {
    for sent in ["\r\n", "X"] {
        let name = DomainName::from_ascii("a.example.com").unwrap();
        let requests = Some(Requests::new(name, 80));
        // So long that a client that is not scheduled for a while is not taken for one that stands still.
        let mut rig = Rig { idle: Duration::from_secs(1), requests, ..Rig::default() };
        let (end, was_cut, server) = rig.run(
            move |mut client| {
                let cut = |_| {
                    thread::sleep(Duration::from_millis(5));
                    client.write_all(sent.as_bytes()).is_err()
                };
                // For much longer than the connection may be idle.
                (0..2000).any(cut)
            },
            |server| is_reset(&server),
        );
        assert_eq!((end, was_cut, server), (End::Idle, true, true), "{sent:?}");
    }
}

#[test]
fn the_run_has_so_many_bytes() {
    // Copied, and spliced.
    for most in [10_000, (1 << 20) + 1] {
        let mut rig = Rig { most, ..Rig::default() };
        let (end, was_reset, ()) = rig.run(
            |client| is_reset(&client),
            |mut server| {
                while server.write_all(&[0; 4096]).is_ok() {}
            },
        );
        assert_eq!((end, was_reset), (End::Traffic, true));
        assert_eq!((rig.usage.bytes(), rig.bytes()), (most, (0, most)), "to the byte");
    }
}

#[test]
fn the_last_byte_of_a_run_may_be_the_last_of_a_connection() {
    for most in [10_000_usize, (1 << 20) + 1] {
        let mut rig = Rig { most: most.try_into().unwrap(), ..Rig::default() };
        let (end, got, ()) = rig.run(
            move |client| read_all(&client),
            move |mut server| server.write_all(&pattern(most, 3)).unwrap(),
        );
        assert_eq!(end, End::Done);
        assert!(got == pattern(most, 3));
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    const LENGTH: usize = 3 << 20;
    let mut rig = Rig::default();
    let (end, got, ()) = rig.run(
        |mut client| {
            let mut got = Vec::new();
            let mut piece = [0; 10_000];
            while let Ok(length @ 1..) = client.read(&mut piece) {
                got.extend_from_slice(&piece[..length]);
                if got.len() < 1 << 20 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            got
        },
        |mut server| server.write_all(&pattern(LENGTH, 4)).unwrap(),
    );
    assert_eq!(end, End::Done);
    assert!(got == pattern(LENGTH, 4));
}

#[test]
fn a_reset_of_a_spliced_connection_is_passed_on() {
    let (end, got, ()) = Rig::default().run(
        |mut client| {
            let mut got = vec![0; 2 << 20];
            client.read_exact(&mut got).unwrap();
            client.write_all(b"enough").unwrap();
            (got == pattern(2 << 20, 5), is_reset(&client))
        },
        |mut server| {
            server.write_all(&pattern(2 << 20, 5)).unwrap();
            let mut word = [0; 6];
            server.read_exact(&mut word).unwrap();
            let none = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&server, sockopt::Linger, &none).unwrap();
        },
    );
    assert_eq!((end, got), (End::Server, (true, true)));
}

#[test]
fn a_later_request_for_another_host_never_arrives() {
    let name = DomainName::from_ascii("a.example.com").unwrap();
    let mut rig = Rig { requests: Some(Requests::new(name, 80)), ..Rig::default() };
    let good = "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n";
    let (end, was_reset, seen) = rig.run(
        move |mut client| {
            client
                .write_all(format!("{good}GET / HTTP/1.1\r\nHost: b.ex\r\n\r\n").as_bytes())
                .unwrap();
            is_reset(&client)
        },
        |mut server| {
            let mut seen = Vec::new();
            // A reset ends it; what came before it is kept or dropped by the kernel.
            server.read_to_end(&mut seen).unwrap_or_default();
            seen
        },
    );
    assert_eq!((end, was_reset), (End::Refused(Refused::Host("b.ex".to_owned())), true));
    assert!(good.as_bytes().starts_with(&seen), "{seen:?}");
}
