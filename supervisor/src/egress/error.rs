//! What can go wrong with the network of a sandbox.

use std::io;

/// The network could not be set up, served or accounted for. An extension that asked for one does not run then.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Entering or leaving the sandbox's network namespace.
    #[error("failed to {action} a network namespace: {source}")]
    Namespace {
        /// `create`, `enter` or `leave`.
        action: &'static str,
        /// The errno of setns(2).
        source: io::Error,
    },
    /// The packet filter.
    #[error("failed to load the packet filter: {reason}")]
    Filter {
        /// What nft or the kernel says.
        reason: String,
    },
    /// Loopback and its routes.
    #[error("failed to {action}: {source}")]
    Route {
        /// `bring loopback up`, `add the route to every IPv4 address` ...
        action: &'static str,
        /// The errno of the netlink request.
        source: io::Error,
    },
    /// A socket of the resolver or the proxy.
    #[error("failed to listen on port {port} of the sandbox: {source}")]
    Listen {
        /// Which.
        port: u16,
        /// The errno.
        source: io::Error,
    },
    /// The packet log or its counters.
    #[error("failed to {action}: {source}")]
    Log {
        /// `open the packet log`, `read the packet counters` ...
        action: &'static str,
        /// The errno.
        source: io::Error,
    },
    /// The thread that serves the network.
    #[error("failed to serve the network of the sandbox: {source}")]
    Thread {
        /// The errno.
        source: io::Error,
    },
}

impl EgressError {
    pub(super) fn thread(source: impl Into<io::Error>) -> Self {
        Self::Thread { source: source.into() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Filter { .. } => {
                "egress needs nftables in the kernel: nf_tables, nft_reject_inet, nft_limit, nft_log and \
                 nfnetlink_log (modprobe nf_tables nfnetlink_log)"
            }
            Self::Log { .. } => "egress needs nfnetlink_log in the kernel (modprobe nfnetlink_log)",
            Self::Namespace { .. } | Self::Route { .. } => {
                "egress needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run as root, outside an unprivileged container"
            }
            Self::Listen { .. } | Self::Thread { .. } => return None,
        };
        Some(text.to_owned())
    }
}
