//! The file tree: resolves what the plan names against this host and this bundle, into operations for the shim.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use policies::plan::{Plan, Storage, TreeEntry};
use shim::wire::{Writer, bind, tree};

use super::ConfineError;
use super::wire::{Fds, Host};
use crate::sys::idmap::user_namespace;
use crate::sys::newmount;

/// Device nodes of every sandbox: name and number, from Documentation/admin-guide/devices.txt.
const NODES: [(&str, u32, u32); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];

/// Links that programs expect in `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];

/// Names at the top of a bundle's rootfs that the sandbox provides itself.
const OWN: [&str; 6] = ["proc", "dev", "sys", "tmp", "data", "ext"];

/// The most entries at the top of a bundle's rootfs: each is a descriptor and a mount.
const MOST_TOP_ENTRIES: usize = 64;

/// Detached filesystems that the extension can fill, kept by the supervisor to see how full they are.
#[derive(Debug, Default)]
pub struct Disks {
    /// `/data`, where it is ephemeral.
    pub data: Option<OwnedFd>,
    /// Every other tmpfs.
    pub temporary: Vec<OwnedFd>,
}

/// What the tree became.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Filesystems to watch.
    pub(super) disks: Disks,
    /// Paths that came from the bundle's rootfs; each gets a Landlock rule.
    pub(super) rootfs: Vec<String>,
    /// Mirrored paths that need no rule: absent here, or links, whose targets have rules of their own.
    pub(super) unruled: BTreeSet<String>,
}

/// What an entry at the top of a bundle's rootfs became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    Bound,
    Link,
}

/// Writes the operations.
pub(super) fn compile<'a>(
    plan: &Plan,
    host: &Host<'a>,
    out: &mut Writer,
    fds: &mut Fds<'a>,
) -> Result<Resolved, ConfineError> {
    let mut resolved = Resolved::default();
    // Nothing may be built beneath what the bundle brings: its links would lead wherever it likes, as root.
    let mut foreign = BTreeMap::new();
    for entry in &plan.tree {
        if let TreeEntry::RootfsOfBundle = entry {
            rootfs(host, out, fds, &mut foreign)?;
            continue;
        }
        if foreign.contains_key(first_component(target(entry))) {
            continue;
        }
        operation(entry, plan, host, out, fds, &mut resolved)?;
    }
    out.u8(tree::END);
    // A link gets no rule: opened for one, it would be followed.
    let bound = foreign.into_iter().filter(|(_, kind)| *kind == Foreign::Bound);
    resolved.rootfs = bound.map(|(name, _)| format!("/{name}")).collect();
    Ok(resolved)
}

fn operation<'a>(
    entry: &TreeEntry,
    plan: &Plan,
    host: &Host<'a>,
    out: &mut Writer,
    fds: &mut Fds<'a>,
    resolved: &mut Resolved,
) -> Result<(), ConfineError> {
    match entry {
        TreeEntry::Dir { target } => {
            out.u8(tree::DIR).u32(0o755).str(relative(target));
        }
        TreeEntry::File { target, text } => {
            out.u8(tree::FILE).str(relative(target)).bytes(text.as_bytes());
        }
        TreeEntry::Symlink { target, to } => {
            out.u8(tree::SYMLINK).str(relative(target)).str(to.as_bytes());
        }
        TreeEntry::Mirror { target, exec } => {
            if !mirror(target, *exec, out)? {
                resolved.unruled.insert(target.clone());
            }
        }
        TreeEntry::RootfsOfBundle => {}
        TreeEntry::Bundle { target } => {
            copy(host.bundle, bind::DIR | bind::EXEC, target, out, fds)?;
        }
        TreeEntry::HostPath { target, write } => host_path(target, *write, host, out, fds)?,
        TreeEntry::Tmpfs { target, size_mb, mode } => {
            let made = tmpfs(target, *size_mb, *mode, host)?;
            resolved.disks.temporary.push(attach(made, target, out, fds)?);
        }
        TreeEntry::Data { target } => match (plan.storage, host.data) {
            (Storage::None, _) => {}
            (Storage::Persistent, Some(data)) => {
                let position = fds.borrow(data);
                out.u8(tree::ATTACH).u32(bind::DIR).u32(position).str(relative(target));
            }
            (Storage::Ephemeral | Storage::Persistent, _) => {
                let made = tmpfs(target, plan.limits.disk_mb, 0o700, host)?;
                resolved.disks.data = Some(attach(made, target, out, fds)?);
            }
        },
        TreeEntry::Proc => {
            out.u8(tree::PROC).str(b"proc");
        }
        TreeEntry::Dev => dev(out),
        TreeEntry::Mask { target } => {
            out.u8(tree::MASK).str(relative(target));
        }
        TreeEntry::Tripwire { target, dir } => {
            out.u8(tree::TRIPWIRE).u32(u32::from(*dir)).str(relative(target));
        }
    }
    Ok(())
}

/// Where an entry goes; entries without a path of their own have a fixed one.
fn target(entry: &TreeEntry) -> &str {
    match entry {
        TreeEntry::Dir { target }
        | TreeEntry::File { target, .. }
        | TreeEntry::Symlink { target, .. }
        | TreeEntry::Mirror { target, .. }
        | TreeEntry::Bundle { target }
        | TreeEntry::HostPath { target, .. }
        | TreeEntry::Tmpfs { target, .. }
        | TreeEntry::Data { target }
        | TreeEntry::Mask { target }
        | TreeEntry::Tripwire { target, .. } => target,
        TreeEntry::Proc => "/proc",
        TreeEntry::Dev => "/dev",
        TreeEntry::RootfsOfBundle => "/",
    }
}

fn first_component(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or("")
}

/// Relative to the staging directory, where the shim stands.
fn relative(target: &str) -> &[u8] {
    target.trim_start_matches('/').as_bytes()
}

fn source_error(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> ConfineError {
    ConfineError::Source { path: path.into(), source: source.into() }
}

/// The host's entry at the same path: a link is copied, so that `/bin` stays what it is on this host. Whether anything
/// was bound.
fn mirror(target: &str, exec: bool, out: &mut Writer) -> Result<bool, ConfineError> {
    let path = Path::new(target);
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(source_error(path, error)),
    };
    if kind.is_symlink() {
        let to = fs::read_link(path).map_err(|error| source_error(path, error))?;
        out.u8(tree::SYMLINK).str(relative(target)).str(to.as_os_str().as_bytes());
        return Ok(false);
    }
    let flags = if exec { bind::EXEC } else { 0 } | if kind.is_dir() { bind::DIR } else { 0 };
    out.u8(tree::BIND_PATH).u32(flags).str(target.as_bytes()).str(relative(target));
    Ok(true)
}

/// A host path that the manifest asked for: opened without following any link, so that what was allowed is what is
/// bound.
///
/// In a writable one the extension stands in for the folder's owner, by an id map: what it writes belongs to that owner
/// and not to the id of one run, which a later run of somebody else may have. Never for root: a file of root's that an
/// extension can make set-user-id is a way to root for anybody on the host.
fn host_path(
    target: &str,
    write: bool,
    host: &Host<'_>,
    out: &mut Writer,
    fds: &mut Fds<'_>,
) -> Result<(), ConfineError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let failed = |errno: Errno| source_error(target, errno);
    let fd = openat2(nix::fcntl::AT_FDCWD, target, how).map_err(failed)?;
    let stat = nix::sys::stat::fstat(&fd).map_err(failed)?;
    let flags = if write { bind::WRITE } else { 0 } | if is_dir(&stat) { bind::DIR } else { 0 };
    if write && stat.st_uid == 0 {
        return Err(ConfineError::RootOwned { path: target.into() });
    }
    let mount = newmount::copy(fd.as_fd(), attributes(flags)).map_err(failed)?;
    if write {
        let unmapped = |source| ConfineError::IdMap { path: target.into(), source };
        let map = user_namespace(stat.st_uid, host.extension_id).map_err(unmapped)?;
        newmount::map_ids(mount.as_fd(), map.as_fd()).map_err(|errno| unmapped(errno.into()))?;
    }
    let position = fds.own(mount);
    out.u8(tree::ATTACH).u32(flags).u32(position).str(relative(target));
    Ok(())
}

/// The attributes of a bind with these flags.
const fn attributes(flags: u32) -> u32 {
    let read_only = if flags & bind::WRITE == 0 { newmount::attr::RDONLY } else { 0 };
    let noexec = if flags & bind::EXEC == 0 { newmount::attr::NOEXEC } else { 0 };
    newmount::attr::NOSUID | newmount::attr::NODEV | read_only | noexec
}

/// A detached copy of what `source` refers to, for the shim to attach.
fn copy(
    source: BorrowedFd<'_>,
    flags: u32,
    target: &str,
    out: &mut Writer,
    fds: &mut Fds<'_>,
) -> Result<(), ConfineError> {
    let mount =
        newmount::copy(source, attributes(flags)).map_err(|errno| source_error(target, errno))?;
    let position = fds.own(mount);
    out.u8(tree::ATTACH).u32(flags).u32(position).str(relative(target));
    Ok(())
}

fn is_dir(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

fn is_link(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK
}

/// Each entry at the top of the bundle's `rootfs/`.
fn rootfs<'a>(
    host: &Host<'a>,
    out: &mut Writer,
    fds: &mut Fds<'a>,
    foreign: &mut BTreeMap<String, Foreign>,
) -> Result<(), ConfineError> {
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let open = |dir: BorrowedFd<'_>, name: &str, flags: OFlag| {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(beneath);
        openat2(dir, name, how).map_err(|errno| source_error(Path::new("rootfs").join(name), errno))
    };
    let root = open(host.bundle, "rootfs", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
    let root_error = |errno: Errno| source_error("rootfs", errno);
    let mut entries = Dir::openat(&root, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
        .map_err(root_error)?;
    let mut names = BTreeSet::new();
    for entry in entries.iter() {
        let entry = entry.map_err(root_error)?;
        let name = entry
            .file_name()
            .to_str()
            .map_err(|_| source_error("rootfs", io::Error::other("a name that is not UTF-8")))?;
        if name != "." && name != ".." && !OWN.contains(&name) {
            names.insert(name.to_owned());
        }
    }
    if names.len() > MOST_TOP_ENTRIES {
        let error = io::Error::other(format!("more than {MOST_TOP_ENTRIES} entries at its top"));
        return Err(source_error("rootfs", error));
    }
    for name in names {
        let stat = fstatat(&root, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| source_error(Path::new("rootfs").join(&name), errno))?;
        if is_link(&stat) {
            let to = readlinkat(&root, name.as_str())
                .map_err(|errno| source_error(Path::new("rootfs").join(&name), errno))?;
            out.u8(tree::SYMLINK).str(name.as_bytes()).str(to.as_bytes());
            foreign.insert(name, Foreign::Link);
        } else {
            let flags = bind::EXEC | if is_dir(&stat) { bind::DIR } else { 0 };
            let source = open(root.as_fd(), &name, OFlag::O_PATH)?;
            copy(source.as_fd(), flags, &name, out, fds)?;
            foreign.insert(name, Foreign::Bound);
        }
    }
    Ok(())
}

/// A tmpfs with a hard size, owned by the extension unless everybody may write to it.
fn tmpfs(target: &str, size_mb: u64, mode: u32, host: &Host<'_>) -> Result<OwnedFd, ConfineError> {
    let number = |text: String| CString::new(text).unwrap_or_default();
    let id = number(host.extension_id.to_string());
    let size = number(format!("{size_mb}m"));
    // An inode costs about 1 KiB of kernel memory, so their number is bounded along with the bytes.
    let inodes = number((size_mb.max(1) * 256).to_string());
    let mode = number(format!("{mode:o}"));
    let options = [
        (c"size", size.as_c_str()),
        (c"nr_inodes", inodes.as_c_str()),
        (c"mode", mode.as_c_str()),
        (c"uid", id.as_c_str()),
        (c"gid", id.as_c_str()),
    ];
    let attributes = newmount::attr::NOSUID | newmount::attr::NODEV | newmount::attr::NOEXEC;
    newmount::detached(c"tmpfs", &options, attributes)
        .map_err(|errno| ConfineError::Tmpfs { target: target.to_owned(), source: errno.into() })
}

/// Hands a detached mount to the shim and keeps a descriptor of it.
fn attach(
    mount: OwnedFd,
    target: &str,
    out: &mut Writer,
    fds: &mut Fds<'_>,
) -> Result<OwnedFd, ConfineError> {
    let kept = mount
        .try_clone()
        .map_err(|source| ConfineError::Tmpfs { target: target.to_owned(), source })?;
    let position = fds.own(mount);
    out.u8(tree::ATTACH).u32(bind::DIR).u32(position).str(relative(target));
    Ok(kept)
}

fn dev(out: &mut Writer) {
    out.u8(tree::DIR).u32(0o755).str(b"dev");
    for (name, major, minor) in NODES {
        out.u8(tree::NODE).u32(major).u32(minor);
        out.str(format!("dev/{name}").as_bytes()).str(format!("/dev/{name}").as_bytes());
    }
    for (path, to) in LINKS {
        out.u8(tree::SYMLINK).str(path.as_bytes()).str(to.as_bytes());
    }
}
