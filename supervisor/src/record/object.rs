//! What an attempt was aimed at, borrowed: the key of the ledger, without an allocation for each attempt.

use std::hash::{Hash, Hasher};

use policies::limits::LimitKind;
use policies::violation::Object;

/// The borrowed form of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectRef<'a> {
    /// A system call.
    Syscall {
        /// Name as in the kernel's table; empty if the number is unknown.
        name: &'a str,
        /// Number in the table of `arch`.
        nr: i64,
        /// `x86_64`, `i386`, `x32` or the hexadecimal audit architecture.
        arch: &'a str,
        /// The argument that made the difference, in words.
        detail: &'a str,
    },
    /// A path.
    Path {
        /// Absolute, inside the sandbox.
        path: &'a str,
        /// Landlock's words for the missing access.
        access: &'a str,
    },
    /// A TCP port.
    Port {
        /// Host byte order.
        port: u16,
        /// Landlock's word for the missing access.
        access: &'a str,
    },
    /// A process or an abstract socket outside.
    Scope {
        /// Landlock's word for the scope.
        access: &'a str,
        /// Name of the abstract socket; empty for a process.
        name: &'a str,
    },
    /// A domain name.
    Name {
        /// As it was asked for.
        name: &'a str,
    },
    /// The other end of a connection or packet.
    Endpoint {
        /// Domain name; empty if unknown.
        host: &'a str,
        /// IP address; empty if unknown.
        address: &'a str,
        /// Destination port.
        port: u16,
        /// `tcp`, `udp` ...
        protocol: &'a str,
        /// What made the difference.
        detail: &'a str,
    },
    /// A limit.
    Limit {
        /// Which.
        kind: LimitKind,
        /// Its value, with the unit.
        value: &'a str,
    },
}

/// What stands in for the text of an object that was folded into an overflow entry.
pub const OTHERS: &str = "(others)";

impl<'a> ObjectRef<'a> {
    /// The same kind of object with its particulars left out: what the overflow entry of a code is aimed at.
    #[must_use]
    pub fn folded(self) -> Self {
        match self {
            Self::Syscall { .. } => {
                Self::Syscall { name: OTHERS, nr: -1, arch: OTHERS, detail: "" }
            }
            Self::Path { .. } => Self::Path { path: OTHERS, access: OTHERS },
            Self::Port { .. } => Self::Port { port: 0, access: OTHERS },
            Self::Scope { .. } => Self::Scope { access: OTHERS, name: "" },
            Self::Name { .. } => Self::Name { name: OTHERS },
            Self::Endpoint { .. } => {
                Self::Endpoint { host: "", address: OTHERS, port: 0, protocol: OTHERS, detail: "" }
            }
            Self::Limit { kind, .. } => Self::Limit { kind, value: OTHERS },
        }
    }

    /// Bytes of text that keeping this object costs.
    #[must_use]
    pub fn text_len(&self) -> usize {
        match self {
            Self::Syscall { name, arch, detail, .. } => name.len() + arch.len() + detail.len(),
            Self::Path { path, access } => path.len() + access.len(),
            Self::Port { access, .. } => access.len(),
            Self::Scope { access, name } => access.len() + name.len(),
            Self::Name { name } => name.len(),
            Self::Endpoint { host, address, protocol, detail, .. } => {
                host.len() + address.len() + protocol.len() + detail.len()
            }
            Self::Limit { value, .. } => value.len(),
        }
    }

    /// Borrows from an owned object.
    #[must_use]
    pub fn of(object: &'a Object) -> Self {
        match object {
            Object::Syscall { name, nr, arch, detail } => {
                Self::Syscall { name, nr: *nr, arch, detail }
            }
            Object::Path { path, access } => Self::Path { path, access },
            Object::Port { port, access } => Self::Port { port: *port, access },
            Object::Scope { access, name } => Self::Scope { access, name },
            Object::Name { name } => Self::Name { name },
            Object::Endpoint { host, address, port, protocol, detail } => {
                Self::Endpoint { host, address, port: *port, protocol, detail }
            }
            Object::Limit { kind, value } => Self::Limit { kind: *kind, value },
        }
    }

    /// The owned form.
    #[must_use]
    pub fn to_owned(&self) -> Object {
        match *self {
            Self::Syscall { name, nr, arch, detail } => Object::Syscall {
                name: name.to_owned(),
                nr,
                arch: arch.to_owned(),
                detail: detail.to_owned(),
            },
            Self::Path { path, access } => {
                Object::Path { path: path.to_owned(), access: access.to_owned() }
            }
            Self::Port { port, access } => Object::Port { port, access: access.to_owned() },
            Self::Scope { access, name } => {
                Object::Scope { access: access.to_owned(), name: name.to_owned() }
            }
            Self::Name { name } => Object::Name { name: name.to_owned() },
            Self::Endpoint { host, address, port, protocol, detail } => Object::Endpoint {
                host: host.to_owned(),
                address: address.to_owned(),
                port,
                protocol: protocol.to_owned(),
                detail: detail.to_owned(),
            },
            Self::Limit { kind, value } => Object::Limit { kind, value: value.to_owned() },
        }
    }
}

impl Hash for ObjectRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            // Number and architecture follow from the name for every known call, and the other way round.
            Self::Syscall { nr, arch, detail, .. } => {
                (0u8, nr).hash(state);
                arch.hash(state);
                detail.hash(state);
            }
            Self::Path { path, access } => {
                1u8.hash(state);
                path.hash(state);
                access.hash(state);
            }
            Self::Port { port, access } => {
                (2u8, port).hash(state);
                access.hash(state);
            }
            Self::Scope { access, name } => {
                3u8.hash(state);
                access.hash(state);
                name.hash(state);
            }
            Self::Limit { kind, value } => {
                (4u8, kind).hash(state);
                value.hash(state);
            }
            Self::Name { name } => {
                5u8.hash(state);
                name.hash(state);
            }
            Self::Endpoint { host, address, port, protocol, detail } => {
                (6u8, port).hash(state);
                for text in [host, address, protocol, detail] {
                    text.hash(state);
                }
            }
        }
    }
}
