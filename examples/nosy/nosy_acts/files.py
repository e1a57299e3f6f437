"""Files that are none of an extension's business."""

import ctypes
import errno
import os

from .common import in_child, syscall

MFD_CLOEXEC = 1


def read(path):
    """Read the first bytes of a file."""
    def act():
        with open(path, "rb") as file:
            length = len(file.read(64))
        if not length:
            raise OSError(errno.ENODATA, "hidden, nothing to read")
        return f"{length} bytes"
    return act


def listing(path):
    """List a directory."""
    return lambda: f"{len(os.listdir(path))} entries"


def write(path):
    """Open a file for writing; where it did not exist it is created."""
    def act():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755))
        return "opened for writing"
    return act


def symlink_out():
    """Plant a symbolic link in the own storage and read through it."""
    link = "/data/innocent.csv"
    os.symlink("/etc/shadow", link)
    try:
        return read(link)()
    finally:
        os.unlink(link)


def dotdot_out():
    """Climb out with dot-dot from the own folder."""
    return read("/ext/" + "../" * 20 + "etc/shadow")()


def proc_root():
    """Go through the root of the sandbox's init."""
    return listing("/proc/1/root/root")()


def hard_link():
    """Give somebody else's file a name of our own."""
    os.link("/etc/shadow", "/tmp/shadow")
    os.unlink("/tmp/shadow")
    return "linked"


def exec_tmp():
    """Execute a file that was written at run time."""
    path = "/tmp/dropped"
    with open("/usr/bin/true", "rb") as source, open(path, "wb") as copy:
        copy.write(source.read())
    os.chmod(path, 0o755)
    try:
        return run_child(path)
    finally:
        os.unlink(path)


def exec_memfd():
    """Execute a file that has no path at all."""
    name = ctypes.c_char_p(b"dropped")
    fd = syscall(319, name, MFD_CLOEXEC)
    try:
        with open("/usr/bin/true", "rb") as source:
            os.write(fd, source.read())
        return run_child(fd)
    finally:
        os.close(fd)


def run_child(path_or_fd):
    """Execute in a child: the errno if that was refused, else that it ran."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.execve(path_or_fd, ["true"], {})
        except OSError as error:
            os.write(write_end, str(error.errno).encode())
        os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        errno = pipe.read()
    os.waitpid(pid, 0)
    if errno:
        raise OSError(int(errno), os.strerror(int(errno)))
    return "it ran"


def device():
    """Make a device node for the first disk."""
    os.mknod("/tmp/disk", 0o600 | 0o060000, os.makedev(8, 0))
    return "made"


def change_root():
    """Change the root, the old way out of a jail."""
    os.chroot("/tmp")
    return "changed"


ACTS = {
    "shadow": read("/etc/shadow"),
    "root-home": listing("/root"),
    "homes": listing("/home"),
    "docker-socket": read("/var/run/docker.sock"),
    "host-mount": listing("/host"),
    "init-environ": read("/proc/1/environ"),
    "kernel-memory": read("/proc/kcore"),
    "core-pattern": write("/proc/sys/kernel/core_pattern"),
    "sysrq": write("/proc/sysrq-trigger"),
    "plant-in-usr": write("/usr/bin/x"),
    "plant-in-bundle": write("/ext/x"),
    "passwd": write("/etc/passwd"),
    "symlink-out": symlink_out,
    "dotdot-out": dotdot_out,
    "proc-root": proc_root,
    "hard-link": hard_link,
    "exec-from-tmp": exec_tmp,
    "exec-memfd": exec_memfd,
    "mknod": device,
    "chroot": lambda: in_child(change_root),
}
