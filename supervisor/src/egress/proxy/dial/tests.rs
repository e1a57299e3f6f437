use std::net::{IpAddr, TcpListener};

use policies::domain::AddressPolicy;

use super::{Checked, NoServer, alternating, check, connect, is_own};

fn run<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn refused_addresses_are_left_out_and_the_order_stays() {
    let addresses = ["9.9.9.9", "127.0.0.1", "10.0.0.5", "8.8.8.8"].map(address);
    let public = check(&addresses, AddressPolicy::Public);
    assert_eq!(public.allowed, ["9.9.9.9", "8.8.8.8"].map(address));
    let refused: Vec<IpAddr> = public.refused.iter().map(|(address, _)| *address).collect();
    assert_eq!(refused, ["127.0.0.1", "10.0.0.5"].map(address));
    assert!(public.refused.iter().all(|(_, class)| !class.is_empty()));
    let private = check(&addresses, AddressPolicy::Private);
    assert_eq!(private.allowed, ["9.9.9.9", "10.0.0.5", "8.8.8.8"].map(address));
}

#[test]
fn the_host_knows_itself() {
    assert!(is_own(address("127.0.0.1")));
    assert!(!is_own(address("192.0.2.77")));
}

#[test]
fn the_next_address_is_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let checked =
        Checked { allowed: vec![address("127.0.0.2"), address("127.0.0.1")], refused: vec![] };
    let server = run(connect(&checked, port)).unwrap();
    assert_eq!(server.peer_addr().unwrap(), listener.local_addr().unwrap());
}

#[test]
fn families_take_turns() {
    let order = |addresses: &[&str]| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| address(text)).collect();
        alternating(&addresses).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        order(&["9.9.9.1", "9.9.9.2", "9.9.9.3", "2600::1", "2600::2"]),
        ["9.9.9.1", "2600::1", "9.9.9.2", "2600::2", "9.9.9.3"]
    );
    assert_eq!(order(&["2600::1", "2600::2", "9.9.9.1"]), ["2600::1", "9.9.9.1", "2600::2"]);
    assert!(order(&[]).is_empty());
}

#[test]
fn why_there_is_no_server() {
    let refused = Checked { allowed: vec![], refused: vec![(address("10.0.0.5"), "private")] };
    assert_eq!(run(connect(&refused, 1)).unwrap_err(), NoServer::Refused);
    assert_eq!(run(connect(&Checked::default(), 1)).unwrap_err(), NoServer::Failed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let dead = Checked { allowed: vec![address("127.0.0.1")], refused: vec![] };
    assert_eq!(run(connect(&dead, port)).unwrap_err(), NoServer::Failed);
}
