"""More than its share. Each cleans up after itself but the last, which ends the run."""

import errno
import os
import signal
import time

from .common import Limited

MB = 1 << 20
# Bounds of the acts themselves, in case that nothing else bounds them.
MOST_FORKS, MOST_DISK_MB, MOST_FILES, MOST_MEMORY_MB = 2000, 1024, 20000, 1024
FILE_MB = 16


def forks():
    """Fork until the kernel says no."""
    children = []
    try:
        while len(children) < MOST_FORKS:
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
    except OSError as error:
        raise Limited(f"{error.strerror} after {len(children)} processes") from error
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return f"{MOST_FORKS} processes"


def fill(folder):
    """Write files until the disk is full; each stays below the limit of a single file."""
    def act():
        paths = [f"{folder}/filler-{number}" for number in range(MOST_DISK_MB // FILE_MB)]
        written = 0
        try:
            for path in paths:
                with open(path, "wb", buffering=0) as file:
                    for _ in range(FILE_MB):
                        written += file.write(b"\0" * MB)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # A full disk is noticed by looking, every 100 ms.
            time.sleep(0.3)
            raise Limited(f"{error.strerror} after {written // MB} MB") from error
        finally:
            for path in paths:
                if os.path.exists(path):
                    os.unlink(path)
        return f"{MOST_DISK_MB} MB written"
    return act


def open_files():
    """Open files until the table is full."""
    fds = []
    try:
        while len(fds) < MOST_FILES:
            fds.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        raise Limited(f"{error.strerror} after {len(fds)} files") from error
    finally:
        for fd in fds:
            os.close(fd)
    return f"{MOST_FILES} files"


def spin():
    """Burn CPU for two seconds of wall clock and see how much of it we got."""
    wall, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - wall < 2:
        pass
    share = (time.process_time() - cpu) / (time.monotonic() - wall)
    if share < 0.8:
        raise Limited(f"{share:.0%} of a core")
    return f"{share:.0%} of a core"


def memory():
    """Eat memory. The kernel answers with SIGKILL."""
    hoard = []
    while len(hoard) < MOST_MEMORY_MB // 8:
        try:
            hoard.append(b"\1" * (8 * MB))
        except MemoryError:
            raise Limited(f"no more after {len(hoard) * 8} MB") from None
    return f"{MOST_MEMORY_MB} MB"


ACTS = {
    "open-files": open_files,
    "fork-bomb": forks,
    "fill-data": fill("/data"),
    "fill-tmp": fill("/tmp"),
    "spin": spin,
    "eat-memory": memory,
}
