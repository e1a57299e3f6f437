//! The parameters of the calls that a policy may refuse, by the names of their man pages.

use syscalls::Sysno;

use super::names::{self, Names};

/// How an argument is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A signed number.
    Number,
    /// A hexadecimal number.
    Hex,
    /// An octal file mode.
    Mode,
    /// A file descriptor, or `AT_FDCWD`.
    Descriptor,
    /// One of several.
    One(Names),
    /// Any of several.
    Flags(Names),
    /// The second argument of `socket(2)`.
    SocketType,
    /// The third argument of `socket(2)`.
    Protocol,
    /// A text in the caller's memory.
    Text,
    /// A socket address in the caller's memory; its length is the next argument.
    Address,
    /// Something else in the caller's memory.
    Pointer,
}

use Kind::{
    Address, Descriptor, Flags, Hex, Mode, Number, One, Pointer, Protocol, SocketType, Text,
};

/// A name and how it is shown.
type Parameters = &'static [(&'static str, Kind)];

/// The parameters of a call; none for one whose arguments say nothing.
pub(super) const fn parameters(sysno: Sysno) -> Parameters {
    match sysno {
        Sysno::mount => &[
            ("source", Text),
            ("target", Text),
            ("filesystemtype", Text),
            ("mountflags", Flags(names::MOUNT)),
        ],
        Sysno::umount2 => &[("target", Text), ("flags", Flags(names::UMOUNT))],
        Sysno::pivot_root => &[("new_root", Text), ("put_old", Text)],
        Sysno::chroot
        | Sysno::chdir
        | Sysno::acct
        | Sysno::swapoff
        | Sysno::uselib
        | Sysno::execve => &[("path", Text)],
        Sysno::swapon => &[("path", Text), ("swapflags", Hex)],
        Sysno::move_mount => &[
            ("from_dirfd", Descriptor),
            ("from_path", Text),
            ("to_dirfd", Descriptor),
            ("to_path", Text),
            ("flags", Hex),
        ],
        Sysno::open_tree | Sysno::fspick | Sysno::mount_setattr => {
            &[("dirfd", Descriptor), ("path", Text), ("flags", Hex)]
        }
        Sysno::fsopen => &[("fsname", Text), ("flags", Hex)],
        Sysno::fsconfig => &[("fd", Descriptor), ("cmd", Number), ("key", Text)],
        Sysno::fsmount => &[("fd", Descriptor), ("flags", Hex), ("mount_attrs", Hex)],
        Sysno::unshare | Sysno::clone => &[("flags", Flags(names::CLONE))],
        Sysno::setns => &[("fd", Descriptor), ("nstype", Flags(names::CLONE))],
        Sysno::ptrace => &[("request", One(names::PTRACE)), ("pid", Number)],
        Sysno::process_vm_readv | Sysno::process_vm_writev => &[("pid", Number)],
        Sysno::pidfd_getfd => &[("pidfd", Descriptor), ("targetfd", Descriptor)],
        Sysno::kcmp => &[("pid1", Number), ("pid2", Number), ("type", One(names::KCMP))],
        Sysno::prctl => &[("option", One(names::PRCTL)), ("arg2", Hex), ("arg3", Hex)],
        Sysno::ioctl => &[("fd", Descriptor), ("request", One(names::IOCTL)), ("argp", Pointer)],
        Sysno::socket | Sysno::socketpair => {
            &[("domain", One(names::FAMILY)), ("type", SocketType), ("protocol", Protocol)]
        }
        Sysno::bind | Sysno::connect => {
            &[("fd", Descriptor), ("address", Address), ("length", Number)]
        }
        Sysno::sendto => &[
            ("fd", Descriptor),
            ("buf", Pointer),
            ("size", Number),
            ("flags", Hex),
            ("address", Address),
            ("length", Number),
        ],
        Sysno::seccomp => &[("operation", One(names::SECCOMP)), ("flags", Hex)],
        Sysno::landlock_create_ruleset => &[("attr", Pointer), ("size", Number), ("flags", Hex)],
        Sysno::landlock_add_rule => &[("ruleset_fd", Descriptor), ("rule_type", Number)],
        Sysno::landlock_restrict_self => &[("ruleset_fd", Descriptor), ("flags", Hex)],
        Sysno::bpf => &[("cmd", One(names::BPF)), ("attr", Pointer), ("size", Number)],
        Sysno::keyctl => &[("operation", One(names::KEYCTL)), ("arg2", Number)],
        Sysno::add_key | Sysno::request_key => &[("type", Text), ("description", Text)],
        Sysno::mknod => &[("path", Text), ("mode", Mode), ("dev", Hex)],
        Sysno::mknodat => &[("dirfd", Descriptor), ("path", Text), ("mode", Mode), ("dev", Hex)],
        Sysno::open => &[("path", Text), ("flags", Flags(names::OPEN)), ("mode", Mode)],
        Sysno::openat => {
            &[("dirfd", Descriptor), ("path", Text), ("flags", Flags(names::OPEN)), ("mode", Mode)]
        }
        Sysno::openat2 | Sysno::execveat | Sysno::name_to_handle_at => {
            &[("dirfd", Descriptor), ("path", Text)]
        }
        Sysno::open_by_handle_at => {
            &[("mount_fd", Descriptor), ("handle", Pointer), ("flags", Flags(names::OPEN))]
        }
        Sysno::sethostname | Sysno::setdomainname => &[("name", Text), ("len", Number)],
        Sysno::delete_module => &[("name", Text), ("flags", Flags(names::OPEN))],
        Sysno::finit_module => &[("fd", Descriptor), ("params", Text), ("flags", Hex)],
        Sysno::init_module => &[("image", Pointer), ("len", Number), ("params", Text)],
        Sysno::kexec_load => &[("entry", Hex), ("segments", Number), ("", Pointer), ("flags", Hex)],
        Sysno::kexec_file_load => &[("kernel_fd", Descriptor), ("initrd_fd", Descriptor)],
        Sysno::reboot => &[("magic", Hex), ("magic2", Hex), ("op", One(names::REBOOT))],
        Sysno::personality => &[("persona", Hex)],
        Sysno::perf_event_open => &[("attr", Pointer), ("pid", Number), ("cpu", Number)],
        Sysno::syslog => &[("type", Number)],
        Sysno::quotactl => &[("op", Hex), ("special", Text), ("id", Number)],
        Sysno::userfaultfd => &[("flags", Flags(names::OPEN))],
        Sysno::fanotify_init => &[("flags", Hex), ("event_f_flags", Flags(names::OPEN))],
        Sysno::io_uring_setup => &[("entries", Number), ("params", Pointer)],
        Sysno::clock_settime | Sysno::clock_adjtime => &[("clockid", One(names::CLOCK))],
        Sysno::sched_setscheduler => &[("pid", Number), ("policy", Number)],
        Sysno::sched_setaffinity => &[("pid", Number), ("cpusetsize", Number)],
        Sysno::iopl => &[("level", Number)],
        Sysno::ioperm => &[("from", Hex), ("num", Number), ("turn_on", Number)],
        _ => &[],
    }
}
