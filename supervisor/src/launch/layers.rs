//! The layers of a run, for its report.

use policies::limits::Enforcement;
use policies::plan::egress::Egress;

use super::summary::Evidences;
use crate::confine::landlock::Ports;
use crate::report::LayerReport;

/// The layers that this run had. All were applied, or the run would have ended before its first instruction.
pub(super) fn layers(on: &Evidences<'_>) -> Vec<LayerReport> {
    let layer = |layer: &str, enforcement, detail: String| LayerReport {
        layer: layer.to_owned(),
        enforcement,
        detail,
    };
    let kernel = Enforcement::Kernel;
    let slot = &on.resources.slot;
    let namespaces = "mount, pid, net, ipc, uts, cgroup, user".to_owned();
    let ids = format!("uid {} on the host, PID 1 {}", slot.extension_id(), slot.shim_id());
    let lowered: Vec<String> = on
        .resources
        .rlimits
        .iter()
        .filter_map(|limit| limit.wanted.map(|wanted| (limit, wanted)))
        .map(|(limit, wanted)| format!("{} {} instead of {wanted}", limit.name, limit.hard))
        .collect();
    let rlimits = if lowered.is_empty() {
        "as the plan says".to_owned()
    } else {
        format!("lower by this host's own: {}", lowered.join(", "))
    };
    let memfd = if std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        layer("memory-files", kernel, "never executable".to_owned())
    } else {
        let detail = "executable: this kernel has no vm.memfd_noexec".to_owned();
        layer("memory-files", Enforcement::Off, detail)
    };
    vec![
        layer("namespaces", kernel, namespaces),
        layer("user", kernel, ids),
        layer("filesystem", kernel, "own read-only root, pivoted".to_owned()),
        layer("capabilities", kernel, "none".to_owned()),
        layer("no-new-privs", kernel, "set".to_owned()),
        layer("rlimits", kernel, rlimits),
        layer("landlock", kernel, on.abi.handled(Ports::of(&on.decided.plan))),
        layer("seccomp", kernel, format!("{} calls allowed", on.decided.plan.seccomp.allow.len())),
        memfd,
        layer("egress", kernel, egress(on.decided.plan.egress.as_ref())),
    ]
}

fn egress(egress: Option<&Egress>) -> String {
    let Some(egress) = egress else {
        return "no network: no interface, no sockets".to_owned();
    };
    let rules: Vec<String> = egress.rules.iter().map(ToString::to_string).collect();
    format!("nftables, own resolver and proxy: {}", rules.join(" "))
}
