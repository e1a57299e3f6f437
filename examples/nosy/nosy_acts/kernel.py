"""System calls that no extension needs. Each is made so that it would do no harm if it were allowed."""

import ctypes
import errno
import fcntl
import mmap
import os
import signal

from .common import in_child, syscall

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
PTRACE_SEIZE = 0x4206
TIOCSTI = 0x5412
ADDR_NO_RANDOMIZE = 0x0040000
X32_BIT = 0x40000000


def text(value: str):
    """A C string."""
    return ctypes.c_char_p(value.encode())


def call(number: int, *args):
    """An act that is one system call, in a child of its own."""
    return lambda: in_child(lambda: f"returned {syscall(number, *args)}")


def trace_init():
    """Become the debugger of the sandbox's init. SEIZE does not stop it, and the end of the child detaches."""
    return f"returned {syscall(101, PTRACE_SEIZE, 1, None, None)}"


def join_namespace():
    """Enter the network namespace of the sandbox's init."""
    fd = os.open("/proc/self/ns/net", os.O_RDONLY)
    return f"returned {syscall(308, fd, CLONE_NEWNET)}"


def kill_init():
    """Kill the sandbox's init, which would end the run unrecorded."""
    os.kill(1, signal.SIGKILL)
    return "sent"


def type_into_terminal():
    """Push a key stroke into the terminal of the operator."""
    for fd in (0, 1, 2):
        try:
            fcntl.ioctl(fd, TIOCSTI, b"#")
            return "typed"
        except OSError as error:
            if error.errno != errno.ENOTTY:
                raise
    raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))


def int80():
    """Call the kernel through the 32-bit entry, where the numbers mean other calls: i386 getpid."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, 20; int 0x80; pop rbx; ret
    code.write(bytes.fromhex("53 b814000000 cd80 5b c3"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return f"i386 getpid returned {result}"


def become_root():
    """Become root."""
    os.setuid(0)
    return "uid 0"


ACTS = {
    "mount": call(165, text("none"), text("/tmp"), text("tmpfs"), 0, None),
    "umount": call(166, text("/proc"), 2),
    "pivot-root": call(155, text("/tmp"), text("/tmp")),
    "fsopen": call(430, text("tmpfs"), 0),
    "unshare-user": call(272, CLONE_NEWUSER | CLONE_NEWNS),
    "setns": lambda: in_child(join_namespace),
    "ptrace": lambda: in_child(trace_init),
    "process-vm-read": call(310, 1, None, 0, None, 0, 0),
    "bpf": call(321, 0, None, 0),
    "init-module": call(175, None, 0, text("")),
    "kexec": call(246, 0, 0, None, 0),
    "reboot": call(169, 0, 0, 0, None),  # wrong magic numbers: never reboots
    "clock": call(227, 0, None),
    "swapon": call(167, text("/data/none"), 0),
    "keyctl": call(250, 0, -3, 0),
    "io-uring": call(425, 8, ctypes.create_string_buffer(256)),
    "userfaultfd": call(323, 0),
    "perf": call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "open-by-handle": call(304, -100, None, 0),
    "personality": call(135, ADDR_NO_RANDOMIZE),
    "own-seccomp": call(317, 1, 0, None),
    "own-landlock": call(444, None, 0, 1),
    "hostname": call(170, text("nosy"), 4),
    "setuid": lambda: in_child(become_root),
    "kill-init": kill_init,
    "tiocsti": type_into_terminal,
    "int80": lambda: in_child(int80),
    "x32": call(X32_BIT | 39),
}
