//! Queries and replies as bytes.
//!
//! Queries come from the extension. So only what a query needs is decoded, the header, one question and an OPT record,
//! and whatever else a packet holds makes it malformed, unread.

use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// The longest query that is read, in bytes. A question takes 271 at most, the rest is for options of EDNS.
pub const MAX_QUERY: usize = 4096;
/// The longest reply over UDP, in bytes: <https://www.dnsflagday.net/2020/>.
const MAX_UDP: u16 = 1232;
/// The longest reply over UDP to a client that says nothing about it, in bytes: RFC 1035, section 4.2.1.
const PLAIN_UDP: u16 = 512;
/// How long a reply may be kept, in seconds. The addresses of a name never change, but a refused one costs nothing either.
pub(super) const TTL: u32 = 1;
/// The name and type that begin an OPT record: the root, 41. RFC 6891, section 6.1.2.
const OPT: [u8; 3] = [0, 0, 41];

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One packet.
    Udp,
    /// A stream, every message after its length.
    Tcp,
}

impl Transport {
    /// `udp` or `tcp`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Why a packet is no query that this server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not even a header.
    Short,
    /// Longer than [`MAX_QUERY`].
    Long,
    /// A response.
    Response,
    /// Not a standard query: RFC 1035, section 4.1.1.
    Operation,
    /// No question, or several.
    Questions,
    /// A question that is cut off, too long or compressed; nothing is there that it could share a name with.
    Question,
    /// Not of the class IN.
    Class,
    /// Records other than one OPT.
    Records,
    /// A broken OPT record.
    Options,
    /// A version of EDNS other than 0.
    Version,
    /// Bytes behind the message.
    Trailing,
}

impl Malformed {
    /// For the record.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Short => "cut off",
            Self::Long => "too long",
            Self::Response => "a response",
            Self::Operation => "not a standard query",
            Self::Questions => "not one question",
            Self::Question => "a broken question",
            Self::Class => "not class IN",
            Self::Records => "records in a query",
            Self::Options => "broken EDNS options",
            Self::Version => "unknown EDNS version",
            Self::Trailing => "bytes after the message",
        }
    }

    /// What is replied; nothing to what may not be a query at all, so that no two servers talk to each other for ever.
    const fn code(self) -> Option<ResponseCode> {
        match self {
            Self::Short | Self::Response => None,
            Self::Operation => Some(ResponseCode::NotImp),
            Self::Class => Some(ResponseCode::Refused),
            Self::Version => Some(ResponseCode::BADVERS),
            Self::Long
            | Self::Questions
            | Self::Question
            | Self::Records
            | Self::Options
            | Self::Trailing => Some(ResponseCode::FormErr),
        }
    }
}

/// A query that was understood.
#[derive(Debug)]
pub(super) struct Request {
    metadata: Metadata,
    /// What it asks for.
    pub(super) question: Query,
    /// The longest reply over UDP that its sender reads, if it speaks EDNS.
    payload: Option<u16>,
}

/// Decodes a query.
pub(super) fn decode(query: &[u8]) -> Result<Request, Malformed> {
    let mut decoder = BinDecoder::new(query);
    let Header { metadata, counts, .. } =
        Header::read(&mut decoder).map_err(|_| Malformed::Short)?;
    if metadata.message_type != MessageType::Query {
        return Err(Malformed::Response);
    }
    if query.len() > MAX_QUERY {
        return Err(Malformed::Long);
    }
    if metadata.op_code != OpCode::Query {
        return Err(Malformed::Operation);
    }
    if counts.queries != 1 {
        return Err(Malformed::Questions);
    }
    if counts.answers != 0 || counts.authorities != 0 || counts.additionals > 1 {
        return Err(Malformed::Records);
    }
    let start = decoder.index();
    // Before the decoder, which follows pointers, sees it.
    let end = query.get(start..).and_then(plain_name).ok_or(Malformed::Question)? + start + 4;
    let question = Query::read(&mut decoder).map_err(|_| Malformed::Question)?;
    if decoder.index() != end {
        return Err(Malformed::Question);
    }
    if question.query_class() != DNSClass::IN {
        return Err(Malformed::Class);
    }
    let mut payload = None;
    if counts.additionals == 1 {
        if query.get(decoder.index()..).is_none_or(|rest| !rest.starts_with(&OPT)) {
            return Err(Malformed::Records);
        }
        let record = Record::read(&mut decoder).map_err(|_| Malformed::Options)?;
        let [_, version, _, _] = record.ttl.to_be_bytes();
        if version != 0 {
            return Err(Malformed::Version);
        }
        payload = Some(u16::from(record.dns_class));
    }
    if !decoder.is_empty() {
        return Err(Malformed::Trailing);
    }
    Ok(Request { metadata, question, payload })
}

/// The length of a name that is labels and the root alone: RFC 1035, sections 2.3.4 and 3.1. The two high bits of a length
/// would make it a pointer.
fn plain_name(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let label = usize::from(*bytes.get(length)?);
        length += 1 + label;
        if label > 63 || length > 255 {
            return None;
        }
        if label == 0 {
            return Some(length);
        }
    }
}

/// The reply to a packet that [`decode`] did not understand; empty for none.
pub(super) fn complain(query: &[u8], reason: Malformed) -> Vec<u8> {
    let Some(code) = reason.code() else { return Vec::new() };
    let Ok(header) = Header::read(&mut BinDecoder::new(query)) else { return Vec::new() };
    let mut message = Message::response(header.metadata.id, header.metadata.op_code);
    message.metadata.recursion_desired = header.metadata.recursion_desired;
    message.metadata.response_code = code;
    if reason == Malformed::Version {
        message.set_edns(edns());
    }
    message.to_vec().unwrap_or_default()
}

/// The reply to a query; without records a negative one, which says for how long it may be kept.
pub(super) fn encode(
    request: &Request,
    transport: Transport,
    code: ResponseCode,
    records: Vec<Record>,
) -> Vec<u8> {
    let mut message = Message::response(request.metadata.id, OpCode::Query);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    // Go's resolver takes a reply that is neither authoritative nor from a recursive server for a lame one.
    message.metadata.recursion_available = true;
    message.metadata.checking_disabled = request.metadata.checking_disabled;
    message.metadata.response_code = code;
    // With the case of its letters: a client may have mixed it, to recognise the reply.
    message.add_query(request.question.clone());
    if records.is_empty() {
        message.add_authority(authority());
    }
    message.insert_answers(records);
    if request.payload.is_some() {
        message.set_edns(edns());
    }
    let longest = match transport {
        Transport::Udp => request.payload.unwrap_or(PLAIN_UDP).clamp(PLAIN_UDP, MAX_UDP),
        Transport::Tcp => u16::MAX,
    };
    let bytes = message.to_vec().unwrap_or_default();
    if bytes.len() > usize::from(longest) {
        message.truncate().to_vec().unwrap_or_default()
    } else {
        bytes
    }
}

fn edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_UDP);
    edns
}

/// RFC 2308, section 3: a negative reply is kept for the time that its SOA record says.
fn authority() -> Record {
    let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, TTL);
    Record::from_rdata(Name::root(), TTL, RData::SOA(soa))
}
