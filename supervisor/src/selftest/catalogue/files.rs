//! What Landlock refuses: tripwires, paths outside, ports and sockets of the host that were inherited.

use policies::violation::Code;

use super::{Act, Action, Aim, Arg, Expected, Sandbox};
use Arg::{Number, Text};

const DIRECTORY: isize = libc::O_DIRECTORY as isize;

const fn tripwire(
    name: &'static str,
    arguments: &'static [Arg],
    path: &'static str,
    access: &'static str,
    why: &'static str,
) -> Action {
    path_action(name, libc::SYS_open, arguments, Code::TripwireTouched, (path, access), why)
}

const fn outside(
    name: &'static str,
    arguments: &'static [Arg],
    path: &'static str,
    access: &'static str,
    why: &'static str,
) -> Action {
    path_action(name, libc::SYS_open, arguments, Code::PathDenied, (path, access), why)
}

const fn path_action(
    name: &'static str,
    number: i64,
    arguments: &'static [Arg],
    code: Code,
    (path, access): (&'static str, &'static str),
    why: &'static str,
) -> Action {
    Action {
        name,
        why,
        sandbox: Sandbox::Closed,
        act: Act::Call(number, arguments),
        record: Expected::Violation(code, Aim::Path(path, access)),
    }
}

const READ: &str = "fs.read_file";
const LIST: &str = "fs.read_dir";

pub(super) const ACTIONS: &[Action] = &[
    tripwire(
        "list-root",
        &[Text(c"/root"), Number(DIRECTORY)],
        "/root",
        LIST,
        "home of the host's root",
    ),
    tripwire(
        "list-root-ssh",
        &[Text(c"/root/.ssh"), Number(DIRECTORY)],
        "/root/.ssh",
        LIST,
        "keys",
    ),
    tripwire(
        "read-root-key",
        &[Text(c"/root/.ssh/id_rsa")],
        "/root/.ssh/id_rsa",
        READ,
        "a private key",
    ),
    tripwire(
        "list-root-aws",
        &[Text(c"/root/.aws"), Number(DIRECTORY)],
        "/root/.aws",
        LIST,
        "cloud credentials",
    ),
    tripwire(
        "list-home",
        &[Text(c"/home"), Number(DIRECTORY)],
        "/home",
        LIST,
        "homes of the host's users",
    ),
    tripwire(
        "list-host",
        &[Text(c"/host"), Number(DIRECTORY)],
        "/host",
        LIST,
        "where containers mount the host",
    ),
    tripwire("list-mnt", &[Text(c"/mnt"), Number(DIRECTORY)], "/mnt", LIST, "mounted disks"),
    tripwire("list-media", &[Text(c"/media"), Number(DIRECTORY)], "/media", LIST, "mounted disks"),
    tripwire("list-boot", &[Text(c"/boot"), Number(DIRECTORY)], "/boot", LIST, "kernels"),
    tripwire(
        "list-srv",
        &[Text(c"/srv"), Number(DIRECTORY)],
        "/srv",
        LIST,
        "data of the host's services",
    ),
    tripwire(
        "list-sys",
        &[Text(c"/sys"), Number(DIRECTORY)],
        "/sys",
        LIST,
        "the kernel's devices and cgroups",
    ),
    tripwire("read-shadow", &[Text(c"/etc/shadow")], "/etc/shadow", READ, "password hashes"),
    tripwire("read-gshadow", &[Text(c"/etc/gshadow")], "/etc/gshadow", READ, "password hashes"),
    tripwire("read-sudoers", &[Text(c"/etc/sudoers")], "/etc/sudoers", READ, "who may become root"),
    tripwire(
        "list-etc-ssh",
        &[Text(c"/etc/ssh"), Number(DIRECTORY)],
        "/etc/ssh",
        LIST,
        "host keys",
    ),
    tripwire(
        "open-docker",
        &[Text(c"/run/docker.sock")],
        "/run/docker.sock",
        READ,
        "control of the container engine",
    ),
    tripwire(
        "list-containerd",
        &[Text(c"/run/containerd"), Number(DIRECTORY)],
        "/run/containerd",
        LIST,
        "control of the container engine",
    ),
    tripwire(
        "list-secrets",
        &[Text(c"/run/secrets"), Number(DIRECTORY)],
        "/run/secrets",
        LIST,
        "credentials of the pod",
    ),
    tripwire(
        "list-kubelet",
        &[Text(c"/var/lib/kubelet"), Number(DIRECTORY)],
        "/var/lib/kubelet",
        LIST,
        "pods of the node",
    ),
    tripwire(
        "list-docker",
        &[Text(c"/var/lib/docker"), Number(DIRECTORY)],
        "/var/lib/docker",
        LIST,
        "containers of the host",
    ),
    outside("list-top", &[Text(c"/"), Number(DIRECTORY)], "/", LIST, "looks for what there is"),
    outside(
        "list-etc",
        &[Text(c"/etc"), Number(DIRECTORY)],
        "/etc",
        LIST,
        "looks for the host's configuration",
    ),
    outside(
        "list-run",
        &[Text(c"/run"), Number(DIRECTORY)],
        "/run",
        LIST,
        "looks for sockets of services",
    ),
    outside(
        "list-var",
        &[Text(c"/var"), Number(DIRECTORY)],
        "/var",
        LIST,
        "looks for data of services",
    ),
    Action {
        name: "connect-inherited",
        why: "a TCP socket of the host that was left open",
        sandbox: Sandbox::Closed,
        act: Act::ConnectInherited,
        record: Expected::Violation(Code::PortDenied, Aim::Port("net.connect_tcp")),
    },
    Action {
        name: "bind-inherited",
        why: "serves a port of the host through a socket that was left open",
        sandbox: Sandbox::Closed,
        act: Act::BindInherited(58_213),
        record: Expected::Violation(Code::PortDenied, Aim::Port("net.bind_tcp")),
    },
    Action {
        name: "abstract-socket",
        why: "reaches a service of the host through its abstract socket",
        sandbox: Sandbox::Inherited,
        act: Act::AbstractSocket,
        record: Expected::Violation(Code::ScopeDenied, Aim::Scope("scope.abstract_unix_socket")),
    },
];
