//! What a test needs of the host. A skip is never silent, and `SANDBOXCTL_REQUIRE_ALL=1` makes it a failure.

use std::fs;
use std::io::Write;
use std::path::Path;

/// Something that not every host has.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// A program on the host's usual path.
    Program(&'static str),
    /// A file or folder of a package that is no program.
    Path(&'static str),
    /// The kernel records Landlock denials: 6.15, the capabilities of the audit socket, and no audit daemon.
    LandlockRecords,
    /// A writable cgroup controller, v1 or v2.
    Controller(&'static str),
    /// Loop devices and `mkfs.ext4`, which persistent data is made of.
    LoopDevices,
    /// `vm.memfd_noexec`, since Linux 6.3.
    MemfdNoexec,
    /// Id-mapped mounts of a tmpfs, since Linux 6.3.
    IdMappedTmpfs,
    /// The programs that the pretend internet consists of.
    Internet,
}

/// Goes on only where the host has what the test needs.
#[macro_export]
macro_rules! require {
    ($($need:expr),* $(,)?) => {
        if !$crate::requirements::met(&[$($need),*]) {
            return;
        }
    };
}

/// Whether all needs are met. Says why not, past the capture of the test harness.
///
/// # Panics
/// Without root, always: there is nothing to test then. Where `SANDBOXCTL_REQUIRE_ALL` is 1, on any lack.
#[must_use]
#[expect(
    clippy::explicit_write,
    reason = "the test harness captures eprintln! and shows it of failures only"
)]
pub fn met(needs: &[Need]) -> bool {
    assert!(nix::unistd::getuid().is_root(), "these tests need root");
    let Some(lack) = needs.iter().find_map(|need| need.lack()) else { return true };
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    assert!(
        std::env::var("SANDBOXCTL_REQUIRE_ALL").as_deref() != Ok("1"),
        "{name} was to be skipped: {lack}"
    );
    writeln!(std::io::stderr(), "skipped {name}: {lack}").unwrap();
    false
}

impl Need {
    fn lack(self) -> Option<String> {
        match self {
            Self::Program(name) => {
                let dirs = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
                let found = dirs.iter().any(|dir| Path::new(dir).join(name).exists());
                (!found).then(|| format!("{name} is not installed"))
            }
            Self::Path(path) => (!Path::new(path).exists()).then(|| format!("there is no {path}")),
            Self::LandlockRecords => landlock_records(),
            Self::Controller(name) => {
                let v1 = Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs").exists();
                let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
                    .is_ok_and(|all| all.split_whitespace().any(|one| one == name));
                (!v1 && !v2).then(|| format!("no cgroup has the {name} controller"))
            }
            Self::LoopDevices => {
                if !Path::new("/dev/loop-control").exists() {
                    return Some("there is no /dev/loop-control".to_owned());
                }
                Self::Program("mkfs.ext4").lack()
            }
            Self::MemfdNoexec => (!Path::new("/proc/sys/vm/memfd_noexec").exists())
                .then(|| "the kernel has no vm.memfd_noexec".to_owned()),
            Self::Internet => [
                "dnsmasq", "nginx", "openssl", "python3", "ip", "nft", "unshare", "nsenter",
                "setpriv",
            ]
            .into_iter()
            .find_map(|name| Self::Program(name).lack()),
            Self::IdMappedTmpfs => {
                let (release, version) = linux();
                (version < (6, 3)).then(|| format!("Linux {release} cannot map owners in a tmpfs"))
            }
        }
    }
}

/// The release of the kernel, and its first two numbers.
fn linux() -> (String, (u32, u32)) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim().to_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (release, version)
}

fn landlock_records() -> Option<String> {
    let (release, version) = linux();
    if version < (6, 15) {
        return Some(format!("Linux {release} does not record Landlock denials"));
    }
    // CAP_AUDIT_CONTROL and CAP_AUDIT_READ, capabilities(7).
    let wanted = (1_u64 << 30) | (1 << 37);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    if u64::from_str_radix(effective, 16).unwrap() & wanted != wanted {
        return Some("no capability to read the kernel's audit records".to_owned());
    }
    None
}
