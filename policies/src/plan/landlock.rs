//! Path rules: one for each entry of the tree that the extension needs.
//!
//! Landlock rules reach everything beneath their path and nothing can be taken out again, so there is none for `/`, none
//! for `/etc` itself, and none that a tripwire lies beneath.

use crate::plan::{PathAccess, PathRule, TreeEntry};

/// The rules of a tree. For [`TreeEntry::RootfsOfBundle`] there is none here: its entries are known only when the bundle
/// is open, and the supervisor adds one read-and-execute rule for each of them.
pub(crate) fn derive(tree: &[TreeEntry]) -> Vec<PathRule> {
    let mut rules = Vec::with_capacity(tree.len());
    for entry in tree {
        let (path, access) = match entry {
            TreeEntry::Mirror { target, exec: true } | TreeEntry::Bundle { target } => {
                (target.as_str(), PathAccess::ReadExec)
            }
            TreeEntry::Mirror { target, exec: false }
            | TreeEntry::File { target, .. }
            | TreeEntry::HostPath { target, write: false } => (target.as_str(), PathAccess::Read),
            TreeEntry::HostPath { target, write: true }
            | TreeEntry::Tmpfs { target, .. }
            | TreeEntry::Data { target } => (target.as_str(), PathAccess::ReadWrite),
            TreeEntry::Proc => ("/proc", PathAccess::Read),
            TreeEntry::Dev => ("/dev", PathAccess::Device),
            TreeEntry::Dir { .. }
            | TreeEntry::Symlink { .. }
            | TreeEntry::RootfsOfBundle
            | TreeEntry::Mask { .. }
            | TreeEntry::Tripwire { .. } => continue,
        };
        rules.push(PathRule { path: path.to_owned(), access });
    }
    rules
}
