//! The file tree, in the order in which it is built.

use crate::decision::Decision;
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::permission::Permission;
use crate::plan::{Runtime, Storage, TreeEntry};
use crate::rootfs::{Rootfs, within};
use crate::tier::TierPolicy;

/// Where the bundle is.
pub(crate) const BUNDLE: &str = "/ext";
/// Where the extension's own disk is.
pub(crate) const DATA: &str = "/data";
/// Where temporary files are.
pub(crate) const TMP: &str = "/tmp";

const SHM: &str = "/dev/shm";

/// POSIX semaphores and small queues; its pages count as memory.
const SHM_MB: u64 = 16;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// No search list: what is looked up is the name that a rule names. The answer comes from this very host, at once.
const NAME_SERVER: &str = "nameserver 127.0.0.1\noptions ndots:1 timeout:2 attempts:2\n";

/// A host path that is granted.
pub(crate) struct Grant {
    path: String,
    write: bool,
}

/// The host paths that the manifest asks for and the decision and the tier's roots allow; the shorter first.
pub(crate) fn host_paths(
    manifest: &Manifest,
    tier: &TierPolicy,
    decision: &Decision,
) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    let wanted = [
        (&manifest.files.write, Permission::FileUpload, true),
        (&manifest.files.read, Permission::FileDownload, false),
    ];
    let roots: Vec<String> =
        tier.file_roots.iter().map(|root| root.replace("{id}", &manifest.id)).collect();
    for (paths, permission, write) in wanted {
        if !decision.granted.contains(&permission) {
            continue;
        }
        for path in paths {
            let allowed = roots.iter().any(|root| within(path, root));
            // Writing includes reading: what stands in both lists is mounted once, as does what lies beneath a folder
            // that is granted with the same right.
            let covered = |grant: &Grant| within(path, &grant.path) && (grant.write || !write);
            if allowed && !grants.iter().any(covered) {
                grants.push(Grant { path: path.clone(), write });
            }
        }
    }
    grants.sort_by(|a, b| a.path.cmp(&b.path));
    grants
}

pub(crate) fn derive(
    manifest: &Manifest,
    rootfs: &Rootfs,
    grants: &[Grant],
    limits: &Limits,
    network: bool,
) -> Vec<TreeEntry> {
    let mut tree = Tree { rootfs, network, entries: Vec::with_capacity(96) };
    match manifest.run.runtime {
        Runtime::Host => tree.host(),
        Runtime::Bundle => tree.entries.push(TreeEntry::RootfsOfBundle),
    }
    tree.entries.push(TreeEntry::Proc);
    // Before the masks: a mask is a copy of /dev/null.
    tree.entries.push(TreeEntry::Dev);
    for mask in rootfs.mask.iter() {
        tree.entries.push(TreeEntry::Mask { target: mask.path.to_string() });
    }
    tree.tmpfs(SHM, SHM_MB.min(limits.tmp_mb));
    tree.tmpfs(TMP, limits.tmp_mb);
    tree.entries.push(TreeEntry::Bundle { target: BUNDLE.to_owned() });
    if manifest.storage != Storage::None {
        tree.entries.push(TreeEntry::Data { target: DATA.to_owned() });
    }
    for grant in grants {
        tree.parents(&grant.path);
        tree.entries.push(TreeEntry::HostPath { target: grant.path.clone(), write: grant.write });
    }
    tree.tripwires(manifest.run.runtime);
    tree.entries
}

struct Tree<'a> {
    rootfs: &'a Rootfs,
    network: bool,
    entries: Vec<TreeEntry>,
}

impl Tree<'_> {
    fn host(&mut self) {
        for line in self.rootfs.mirror.iter() {
            self.parents(&line.path);
            let target = line.path.to_string();
            self.entries.push(TreeEntry::Mirror { target, exec: line.exec });
        }
        for line in self.rootfs.file.iter() {
            self.parents(&line.path);
            let target = line.path.to_string();
            let text = match target.as_str() {
                RESOLV_CONF if self.network => NAME_SERVER.to_owned(),
                _ => line.text.to_string(),
            };
            self.entries.push(TreeEntry::File { target, text });
        }
        for line in self.rootfs.link.iter() {
            self.parents(&line.path);
            let (target, to) = (line.path.to_string(), line.to.to_string());
            self.entries.push(TreeEntry::Symlink { target, to });
        }
    }

    fn tmpfs(&mut self, target: &str, size_mb: u64) {
        self.entries.push(TreeEntry::Tmpfs { target: target.to_owned(), size_mb, mode: 0o1777 });
    }

    /// Tripwires come last, and only where a parent is ours to write: inside a mounted rootfs nothing can be made.
    fn tripwires(&mut self, runtime: Runtime) {
        for line in self.rootfs.tripwire.iter() {
            let top_level = line.path.rfind('/') == Some(0);
            if runtime == Runtime::Bundle && !top_level || self.has(&line.path) {
                continue;
            }
            self.parents(&line.path);
            let target = line.path.to_string();
            self.entries.push(TreeEntry::Tripwire { target, dir: line.dir });
        }
    }

    /// Makes the folders above a target, unless they are there or come with a mount. A folder that is a tripwire stays
    /// one: what is granted beneath it has a rule of its own.
    fn parents(&mut self, target: &str) {
        for (end, _) in target.match_indices('/').skip(1) {
            let folder = &target[..end];
            if self.has(folder) {
                continue;
            }
            let tripwire = self.rootfs.tripwire.iter().any(|line| line.dir && line.path == folder);
            let target = folder.to_owned();
            self.entries.push(if tripwire {
                TreeEntry::Tripwire { target, dir: true }
            } else {
                TreeEntry::Dir { target }
            });
        }
    }

    /// Whether an entry makes the path, or mounts something that has it or not as it likes.
    fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| match entry {
            TreeEntry::HostPath { target, .. } | TreeEntry::Mirror { target, .. } => {
                within(path, target)
            }
            other => other.target() == Some(path),
        })
    }
}
