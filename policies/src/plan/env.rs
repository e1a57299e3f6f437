//! The environment: nothing of the host's, a few fixed names, and what the manifest adds.

use std::collections::BTreeMap;

use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::plan::{Storage, tree};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The rest is for code, stacks and what a runtime keeps outside of its heap.
const HEAP_PERCENT: u64 = 60;

/// The whole environment of the extension. The manifest may replace every name but those beginning with `SANDBOX`, which
/// its parser refuses.
pub(crate) fn derive(manifest: &Manifest, limits: &Limits) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    let data = manifest.storage != Storage::None;
    set("PATH", PATH);
    set("HOME", if data { tree::DATA } else { tree::TMP });
    set("TMPDIR", tree::TMP);
    set("LANG", "C.UTF-8");
    set("USER", "extension");
    set("LOGNAME", "extension");
    // No cgroup file system is visible inside, so these two runtimes would size their heaps by the host's memory and be
    // killed at the limit instead of collecting garbage. Both names are read by the one runtime only; the JVM's launcher
    // says so in one line on stderr, which JAVA_TOOL_OPTIONS would do for every tool of the JDK. A later `-Xmx` wins.
    let heap_mb = (limits.memory_mb * HEAP_PERCENT / 100).max(16);
    let java = ["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"];
    if !java.iter().any(|name| manifest.run.env.contains_key(*name)) {
        set("JDK_JAVA_OPTIONS", &format!("-Xmx{heap_mb}m"));
    }
    set("NODE_OPTIONS", &format!("--max-old-space-size={heap_mb}"));
    env.extend(manifest.run.env.clone());
    let mut mark = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    mark("SANDBOX", "sandboxctl");
    mark("SANDBOX_EXTENSION_ID", &manifest.id);
    mark("SANDBOX_EXTENSION_VERSION", &manifest.version.to_string());
    if data {
        mark("SANDBOX_DATA", tree::DATA);
    }
    env
}
