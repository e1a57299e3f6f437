//! Messages of the packet log: their payload is what an extension tried to send.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use sandboxctl::egress::nflog::{Packet, decode};

/// `NFNL_SUBSYS_ULOG`, `NFULNL_MSG_PACKET`, `NFULA_PAYLOAD`, `NFULA_UID`.
const PACKET: u16 = 4 << 8;
const PAYLOAD: u16 = 9;
const UID: u16 = 11;

fuzz_target!(|input: &[u8]| {
    // As a datagram.
    let packets: Vec<Packet> = decode(input).collect();
    for Packet { to, .. } in &packets {
        let found = match to {
            IpAddr::V4(v4) => contains(input, &v4.octets()),
            IpAddr::V6(v6) => contains(input, &v6.octets()),
        };
        assert!(found, "{to} is nowhere in the datagram");
    }
    // The same message first changes nothing.
    let good = message(&[(UID, &1000_u32.to_be_bytes()), (PAYLOAD, &syn())]);
    let both: Vec<Packet> = decode(&[&good, input].concat()).collect();
    assert_eq!(both.split_first(), Some((&expected(), packets.as_slice())));

    // As a packet.
    let payload = &input[..input.len().min(65000)];
    let wrapped = message(&[(UID, &1000_u32.to_be_bytes()), (PAYLOAD, payload)]);
    // Whatever it is, the next message is read.
    let mut decoded: Vec<Packet> = decode(&[wrapped, good].concat()).collect();
    assert_eq!(decoded.pop(), Some(expected()));
    let address = match payload.first().map(|first| first >> 4) {
        Some(4) => {
            payload.get(16..20).and_then(|to| <[u8; 4]>::try_from(to).ok()).map(IpAddr::from)
        }
        Some(6) => {
            payload.get(24..40).and_then(|to| <[u8; 16]>::try_from(to).ok()).map(IpAddr::from)
        }
        _ => None,
    };
    match decoded.as_slice() {
        [] => assert!(address.is_none() || payload[0] >> 4 == 4, "an IPv6 packet is lost"),
        [packet] => {
            assert_eq!(Some(packet.to), address);
            assert_eq!(packet.uid, Some(1000));
            above_ip(packet, payload);
        }
        more => panic!("{more:?} from one packet"),
    }
});

/// Protocol and port, where the header says where they are: of IPv6 without extension headers.
fn above_ip(packet: &Packet, payload: &[u8]) {
    let (protocol, header) = match payload[0] >> 4 {
        4 => (payload[9], usize::from(payload[0] & 15) * 4),
        _ if [0, 43, 60].contains(&payload[6]) => return,
        _ => (payload[6], 40),
    };
    assert_eq!(packet.protocol, protocol);
    // TCP, UDP, SCTP and UDP-Lite begin with two ports.
    let ports = payload.get(header..header + 4).filter(|_| [6, 17, 132, 136].contains(&protocol));
    let port = ports.map_or(0, |ports| u16::from_be_bytes([ports[2], ports[3]]));
    assert_eq!(packet.port, port, "another port than the packet has");
}

fn contains(input: &[u8], part: &[u8]) -> bool {
    input.windows(part.len()).any(|window| window == part)
}

/// A TCP packet to 192.0.2.1:443, from its first byte to its ports.
fn syn() -> [u8; 24] {
    let mut packet = [0; 24];
    packet[0] = 0x45;
    packet[9] = 6;
    packet[16..20].copy_from_slice(&[192, 0, 2, 1]);
    packet[22..24].copy_from_slice(&443_u16.to_be_bytes());
    packet
}

fn expected() -> Packet {
    Packet { to: [192, 0, 2, 1].into(), port: 443, protocol: 6, uid: Some(1000) }
}

/// A message of the kernel's with these attributes.
fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    // Header without its length, struct nfgenmsg.
    let mut bytes = vec![0; 20];
    bytes[4..6].copy_from_slice(&PACKET.to_ne_bytes());
    for (kind, value) in attributes {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}
