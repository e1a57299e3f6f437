"""The network, for which the manifest asks no permission."""

import socket

METADATA = ("169.254.169.254", 80)


def make(family, kind, protocol=0):
    """Open a socket."""
    def act():
        socket.socket(family, kind, protocol).close()
        return "got a socket"
    return act


def connect(address):
    """Open a TCP connection."""
    def act():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(2)
            sock.connect(address)
        return "connected"
    return act


def abstract_socket():
    """Connect to a Unix socket of the host that lies in no file system."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect("\0/tmp/.X11-unix/X0")
    return "connected"


ACTS = {
    "inet": make(socket.AF_INET, socket.SOCK_STREAM),
    "inet-udp": make(socket.AF_INET, socket.SOCK_DGRAM),
    "inet6": make(socket.AF_INET6, socket.SOCK_STREAM),
    "packet": make(socket.AF_PACKET, socket.SOCK_RAW, 3),
    "netlink": make(socket.AF_NETLINK, socket.SOCK_RAW),
    "crypto-socket": make(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "vsock": make(socket.AF_VSOCK, socket.SOCK_STREAM),
    "metadata": connect(METADATA),
    "loopback": connect(("127.0.0.1", 22)),
    "abstract-socket": abstract_socket,
}
