//! The datagrams between supervisor and shim on the control socket.

use crate::step::Step;

/// The longest message, detail included.
pub const MAX: usize = 256;

/// What the shim tells the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A step failed; nothing of the extension has run.
    Failed {
        /// Which step.
        step: Step,
        /// Why, as an errno; `EPROTO` for a malformed plan.
        errno: i32,
        /// A path or name, cut to fit.
        detail: &'a [u8],
    },
    /// The filter is installed; its listener comes with this message, and the extension starts next.
    Confined,
    /// The workload ended and everything that outlived it is being killed.
    Ended {
        /// As `wait4` gave it.
        wait_status: i32,
        /// CPU time of all reaped processes, in microseconds.
        cpu_us: u64,
        /// Largest resident set of any single process, in KiB.
        max_rss_kb: u64,
        /// Whether nothing outlived it: no process of the extension is left.
        alone: bool,
    },
}

const FAILED: u8 = 1;
const CONFINED: u8 = 2;
const ENDED: u8 = 3;

impl<'a> Message<'a> {
    /// Writes the message into `buffer` and gives its length.
    pub fn encode(&self, buffer: &mut [u8; MAX]) -> usize {
        let mut out = Out { buffer, at: 0 };
        match *self {
            Self::Failed { step, errno, detail } => {
                out.put(&[FAILED, step as u8]);
                out.put(&errno.to_le_bytes());
                out.put(detail);
            }
            Self::Confined => out.put(&[CONFINED]),
            Self::Ended { wait_status, cpu_us, max_rss_kb, alone } => {
                out.put(&[ENDED]);
                out.put(&wait_status.to_le_bytes());
                out.put(&cpu_us.to_le_bytes());
                out.put(&max_rss_kb.to_le_bytes());
                out.put(&[u8::from(alone)]);
            }
        }
        out.at
    }

    /// Reads a message; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        match tag {
            FAILED => {
                let (&step, rest) = rest.split_first()?;
                let (errno, detail) = rest.split_at_checked(4)?;
                let errno = i32::from_le_bytes(errno.try_into().ok()?);
                Some(Self::Failed { step: Step::from_u8(step)?, errno, detail })
            }
            CONFINED if rest.is_empty() => Some(Self::Confined),
            ENDED if rest.len() == 21 => Some(Self::Ended {
                wait_status: i32::from_le_bytes(rest[0..4].try_into().ok()?),
                cpu_us: u64::from_le_bytes(rest[4..12].try_into().ok()?),
                max_rss_kb: u64::from_le_bytes(rest[12..20].try_into().ok()?),
                alone: rest[20] != 0,
            }),
            _ => None,
        }
    }
}

struct Out<'b> {
    buffer: &'b mut [u8; MAX],
    at: usize,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(MAX - self.at);
        self.buffer[self.at..self.at + n].copy_from_slice(&bytes[..n]);
        self.at += n;
    }
}

/// What the supervisor asks of the shim: one byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The run is recorded and every recorder listens: the extension may start.
    Go,
    /// Stop every process of the sandbox: the CPU guard's brake.
    Stop,
    /// Let them go on.
    Continue,
    /// Send this signal to the workload's process group.
    Signal(u8),
}

impl Command {
    /// The byte on the wire. Signals are 1 to 31, so the other commands fit above them.
    #[must_use]
    pub const fn encode(self) -> u8 {
        match self {
            Self::Go => 0x80,
            Self::Stop => 0x81,
            Self::Continue => 0x82,
            Self::Signal(number) => number & 0x1f,
        }
    }

    /// The command of a byte; `None` for anything else.
    #[must_use]
    pub const fn decode(byte: u8) -> Option<Self> {
        match byte {
            0x80 => Some(Self::Go),
            0x81 => Some(Self::Stop),
            0x82 => Some(Self::Continue),
            1..=31 => Some(Self::Signal(byte)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let mut buffer = [0; MAX];
        for message in [
            Message::Failed { step: Step::Tree, errno: 13, detail: b"/usr" },
            Message::Confined,
            Message::Ended { wait_status: 0x0b00, cpu_us: 7, max_rss_kb: 9, alone: true },
        ] {
            let n = message.encode(&mut buffer);
            assert_eq!(Message::decode(&buffer[..n]), Some(message));
        }
    }

    #[test]
    fn a_long_detail_is_cut_and_noise_is_refused() {
        let mut buffer = [0; MAX];
        let detail = [b'x'; 2 * MAX];
        let n = Message::Failed { step: Step::Exec, errno: 2, detail: &detail }.encode(&mut buffer);
        assert_eq!(n, MAX);
        assert!(matches!(Message::decode(&buffer), Some(Message::Failed { errno: 2, .. })));
        assert_eq!(Message::decode(&[]), None);
        assert_eq!(Message::decode(&[FAILED, 255, 0, 0, 0, 0]), None);
        assert_eq!(Message::decode(&[9]), None);
    }

    #[test]
    fn commands_survive_the_wire() {
        for command in [Command::Go, Command::Stop, Command::Continue, Command::Signal(15)] {
            assert_eq!(Command::decode(command.encode()), Some(command));
        }
        assert_eq!(Command::decode(0), None);
    }
}
