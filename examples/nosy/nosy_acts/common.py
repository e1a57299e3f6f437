"""What the acts share."""

import ctypes
import os
import signal

LIBC = ctypes.CDLL(None, use_errno=True)


class Limited(Exception):
    """The act was stopped by a limit, not refused."""


def syscall(number: int, *args) -> int:
    """A raw system call on x86-64; raises OSError like the os module."""
    LIBC.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = LIBC.syscall(ctypes.c_long(number), *words)
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result


def in_child(act) -> str:
    """Run `act` in a child of its own, for it may kill or change the process. Passes on its errno or its result."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        signal.alarm(10)
        try:
            answer = f"0 {act()}"
        except OSError as error:
            answer = f"{error.errno} "
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answer:
        raise Limited(f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else "no answer")
    errno, _, text = answer.partition(" ")
    if errno != "0":
        raise OSError(int(errno), os.strerror(int(errno)))
    return text
