//! Real interpreters and programs: they work, and none shows a WARNING for behaving as it always does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sandboxctl_integration::bundle::probe;
use sandboxctl_integration::{Bundle, Need, Outcome, Site, require};
use serde_json::json;

fn behaves(bundle: &Bundle) -> Outcome {
    let outcome = Site::new().run(bundle);
    outcome.expect(0).well_behaved();
    outcome
}

#[test]
fn python_with_its_libraries() {
    require!(Need::Program("python3"));
    let outcome = behaves(&Bundle::python(
        r#"
import sqlite3, ssl, subprocess, threading, multiprocessing, tempfile, concurrent.futures, decimal, datetime, csv, locale
import logging, urllib.request, uuid, platform, getpass, pwd, shutil, zipfile, asyncio
base = sqlite3.connect("/data/test.db")
base.execute("pragma journal_mode=wal"); base.execute("create table t(n)")
base.executemany("insert into t values (?)", [(n,) for n in range(1000)]); base.commit()
context = ssl.create_default_context()
with multiprocessing.Pool(2) as pool: squares = pool.map(abs, [-1, -2, -3])
with concurrent.futures.ThreadPoolExecutor(4) as threads: cubes = list(threads.map(lambda n: n ** 3, range(4)))
async def child():
    process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()
with zipfile.ZipFile("/tmp/x.zip", "w") as archive: archive.writestr("a", "b")
print(json.dumps({
    "rows": base.execute("select sum(n) from t").fetchone()[0], "authorities": len(context.get_ca_certs()) > 0,
    "squares": squares, "cubes": cubes, "child": asyncio.run(child()),
    "user": getpass.getuser(), "home": pwd.getpwuid(os.getuid()).pw_dir,
    "shell": subprocess.check_output("echo $((1+1))", shell=True, text=True).strip(),
    "year": datetime.datetime.now().astimezone().year > 2000, "id": len(str(uuid.uuid4())),
}))
"#,
    ));
    assert_eq!(
        outcome.json(),
        json!({"rows": 499_500, "authorities": true, "squares": [1, 2, 3], "cubes": [0, 1, 8, 27], "child": "hi",
            "user": "extension", "home": "/tmp", "shell": "2", "year": true, "id": 36})
    );
}

#[test]
fn node_with_workers_files_and_children() {
    require!(Need::Program("node"));
    let program = r#"
const { Worker, isMainThread, parentPort } = require("worker_threads");
const fs = require("fs"), child = require("child_process"), crypto = require("crypto"), zlib = require("zlib");
if (!isMainThread) { parentPort.postMessage(6 * 7); } else {
  const answers = []; let ended = 0;
  const done = () => {
    fs.writeFileSync("/data/x", "hello"); fs.mkdirSync("/data/a/b", { recursive: true });
    fs.readFile("/data/x", "utf8", (error, text) => {
      if (error) throw error;
      const out = child.spawnSync("sh", ["-c", "echo from a child"]).stdout.toString().trim();
      child.exec("node -e 'console.log(1)'", (error, stdout) => {
        if (error) throw error;
        console.log(JSON.stringify({ answers, text, out, nested: stdout.trim(),
          hash: crypto.createHash("sha256").update("x").digest("hex").slice(0, 8),
          zipped: zlib.gunzipSync(zlib.gzipSync("abc")).toString(), entries: fs.readdirSync("/data").sort() }));
      });
    });
  };
  for (let n = 0; n < 3; n++) {
    new Worker(__filename).on("message", (m) => answers.push(m)).on("exit", () => ++ended == 3 && done());
  }
}
"#;
    let outcome = behaves(&Bundle::command(&["node", "main.js"]).file("main.js", program));
    let seen = outcome.json();
    assert_eq!(seen["answers"], json!([42, 42, 42]));
    assert_eq!(seen["text"], "hello");
    assert_eq!(seen["out"], "from a child");
    assert_eq!(seen["nested"], "1");
    assert_eq!(seen["zipped"], "abc");
    assert_eq!(seen["entries"], json!(["a", "x"]));
}

/// The single-file launcher compiles and runs, so the whole of the JDK is in it.
#[test]
fn java_with_threads() {
    require!(Need::Program("javac"));
    let program = r#"
import java.nio.file.*; import java.util.concurrent.*; import java.util.*;
public class Main {
  public static void main(String[] args) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Future<Integer>> all = new ArrayList<>();
    for (int n = 0; n < 8; n++) { final int m = n; all.add(pool.submit(() -> m * m)); }
    int sum = 0; for (Future<Integer> one : all) sum += one.get();
    pool.shutdown();
    Files.writeString(Path.of("/data/x"), "hello");
    Process child = new ProcessBuilder("echo", "child").start();
    String out = new String(child.getInputStream().readAllBytes()).trim();
    System.out.println(sum + " " + Files.readString(Path.of("/data/x")) + " " + out);
  }
}
"#;
    // Compiled outside: the compiler needs more than a community extension gets.
    let site = Site::new();
    let place = site.fresh_dir("java");
    fs::write(place.join("Main.java"), program).unwrap();
    let status = Command::new("javac").arg("Main.java").current_dir(&place).status().unwrap();
    assert!(status.success());
    let mut bundle = Bundle::command(&["java", "-cp", "/ext", "Main"]);
    for entry in fs::read_dir(&place).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        bundle = bundle.file(&name, fs::read(&path).unwrap());
    }
    let outcome = site.run(&bundle);
    outcome.expect(0).well_behaved();
    assert_eq!(outcome.stdout, "140 hello child\n");
}

#[test]
fn java_as_installed() {
    require!(Need::Program("java"));
    let outcome = behaves(&Bundle::command(&["java", "-XshowSettings:vm", "-version"]));
    assert!(outcome.stderr.contains("Max. Heap Size"), "{}", outcome.stderr);
}

#[test]
fn perl_with_children_and_files() {
    require!(Need::Program("perl"));
    let program = r#"
use strict; use warnings; use POSIX qw(:sys_wait_h); use File::Temp qw(tempfile); use Socket; use IPC::Open3;
my ($file, $name) = tempfile(DIR => "/tmp"); print $file "x" x 1000; close $file;
my $pid = fork(); if (!$pid) { exit 7 } waitpid($pid, 0); my $code = $? >> 8;
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die; syswrite($a, "hi"); sysread($b, my $got, 2);
my $out = `echo shell`; chomp $out;
print join(" ", -s $name, $code, $got, $out), "\n";
"#;
    let outcome = behaves(&Bundle::command(&["perl", "main.pl"]).file("main.pl", program));
    assert_eq!(outcome.stdout, "1000 7 hi shell\n");
}

#[test]
fn bash_pipelines_and_jobs() {
    require!(Need::Program("bash"));
    let outcome = behaves(&Bundle::shell(
        r#"
set -euo pipefail
seq 1 1000 | awk '{ s += $1 } END { print s }'
sort -R <(seq 1 50) | sort -n | tail -1
cat <<< "here" > /tmp/x; sed s/here/there/ /tmp/x | tee /data/y
(sleep 0.01; exit 3) & wait $! || echo "job $?"
trap 'echo bye' EXIT
mkfifo /tmp/pipe; echo through > /tmp/pipe & cat /tmp/pipe
find /ext -name main.sh | xargs -n1 basename
tar -C /ext -cf /tmp/a.tar main.sh; tar -tf /tmp/a.tar; gzip -c /tmp/a.tar | gunzip | cmp - /tmp/a.tar
date +%Y | grep -c 2; id -un; df /data > /dev/null; ps > /dev/null 2>&1 || true
"#,
    ));
    assert_eq!(
        outcome.stdout,
        "500500\n50\nthere\njob 3\nthrough\nmain.sh\nmain.sh\n1\nextension\nbye\n"
    );
}

#[test]
fn ruby_if_it_is_there() {
    require!(Need::Program("ruby"));
    let program =
        "t = 4.times.map { |n| Thread.new { n * n } }; puts t.sum(&:value); puts `echo child`";
    let outcome = behaves(&Bundle::command(&["ruby", "-e", program]));
    assert_eq!(outcome.stdout, "14\nchild\n");
}

#[test]
fn a_static_rust_program() {
    require!();
    behaves(&Bundle::probe(&["eat", "10"]));
    behaves(&Bundle::probe(&["forks", "3"]));
}

/// Its own root: nothing of the host's /usr, and all layers all the same.
#[test]
fn a_bundle_with_its_own_root() {
    require!(Need::Program("busybox"));
    let site = Site::new();
    let busybox =
        ["/usr/bin/busybox", "/bin/busybox"].iter().find_map(|path| fs::read(path).ok()).unwrap();
    let script = r#"echo "$0 in $(pwd)"; ls /bin | wc -l; ls /usr 2>&1 | head -1; cat /etc/own
touch /bin/x 2>/dev/null && echo writable; echo x > /tmp/x && cat /tmp/x; ps | wc -l; cat /etc/shadow; echo $?"#;
    let bundle = Bundle::command(&["/bin/busybox", "sh", "/ext/main.sh"])
        .runtime("bundle")
        .file("main.sh", script)
        .executable("rootfs/bin/busybox", busybox)
        .executable("rootfs/bin/sh", "#!/bin/busybox sh\n")
        .file("rootfs/etc/own", "mine\n");
    let built = bundle.build(&site);
    for name in ["ls", "wc", "cat", "head", "ps", "touch"] {
        std::os::unix::fs::symlink("busybox", built.path.join("rootfs/bin").join(name)).unwrap();
    }
    fs::set_permissions(built.path.join("rootfs"), fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = site.run_built(&built, &[]);
    outcome.expect(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "/ext/main.sh in /ext");
    assert_eq!(lines[1], "8");
    assert!(lines[2].contains("No such file"), "{lines:?}");
    assert_eq!(lines[3], "mine");
    assert_eq!(lines[4], "x");
    assert!(!outcome.stdout.contains("writable"), "{lines:?}");
    assert_eq!(*lines.last().unwrap(), "1", "there is no /etc/shadow in its root");
}

#[test]
fn an_own_root_is_filtered_and_watched_too() {
    require!(Need::LandlockRecords);
    let site = Site::new();
    let bundle = Bundle::command(&["/bin/probe", "calls", "mount", "getpid", "socket-inet"])
        .runtime("bundle")
        .executable("rootfs/bin/probe", fs::read(probe()).unwrap());
    let outcome = site.run(&bundle);
    assert_eq!(
        outcome.expect(0).json(),
        json!({"mount": "EPERM", "getpid": "ok", "socket-inet": "EPERM"})
    );
    outcome.recorded("mount-attempt", "name", "mount");
}

#[test]
fn an_own_root_that_is_missing_is_said() {
    require!();
    let outcome = Site::new().run(&Bundle::command(&["/bin/true"]).runtime("bundle"));
    assert!([125, 126].contains(&outcome.code()), "{}", outcome.code());
    assert!(outcome.stderr.contains("rootfs"), "{}", outcome.stderr);
}
