//! The system calls of one tier: the policy files' lines, sorted by number.

use crate::plan::{AllowedSyscall, DeniedSyscall, ErrnoSyscall, Seccomp};
use crate::set::PolicySet;
use crate::tier::TierPolicy;

/// The group that comes with egress, in addition to those of the tier.
pub(crate) const NETWORK: &str = "network";

pub(crate) fn derive(tier: &TierPolicy, policies: &PolicySet, network: bool) -> Seccomp {
    let used = policies
        .groups()
        .iter()
        .filter(|group| tier.seccomp.contains(&group.name) || network && group.name == NETWORK);
    let mut allow: Vec<AllowedSyscall> = used
        .flat_map(|group| {
            group.allow.iter().map(|line| AllowedSyscall {
                nr: line.nr,
                name: line.name.clone(),
                group: group.name.clone(),
                when: line.when.iter().map(|all| all.to_vec()).collect(),
            })
        })
        .collect();
    allow.sort_by_key(|line| line.nr);
    // A call that two groups allow by its arguments is allowed by either.
    allow.dedup_by(|later, earlier| {
        let same = later.nr == earlier.nr;
        if same {
            earlier.when.append(&mut later.when);
        }
        same
    });
    let mut errno: Vec<ErrnoSyscall> = policies
        .denied()
        .errno
        .iter()
        .map(|line| ErrnoSyscall { nr: line.nr, name: line.name.clone(), errno: line.errno })
        .collect();
    errno.sort_unstable_by_key(|line| line.nr);
    let mut deny: Vec<DeniedSyscall> = policies
        .denied()
        .deny
        .iter()
        .map(|line| DeniedSyscall {
            nr: line.nr,
            name: line.name.clone(),
            when: line.when.to_vec(),
            code: line.code,
            severity: line.severity,
            errno: line.errno,
        })
        .collect();
    // Stable: the order of the lines of one call decides.
    deny.sort_by_key(|line| line.nr);
    Seccomp { allow, errno, deny }
}
