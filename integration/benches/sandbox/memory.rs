//! Memory that a run costs besides the extension's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::{Bench, Result, programs};

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let mut runs = Vec::new();
    let measured = side_by_side(bench, &mut runs);
    // Its supervisor is the parent-death signal of all that it started.
    for supervisor in &mut runs {
        supervisor.kill()?;
        supervisor.wait()?;
    }

    println!("\n### Private memory while a run sleeps, kB\n");
    println!("| | supervisor | shim | together |");
    println!("|---|--:|--:|--:|");
    for (name, (supervisor, shim)) in measured? {
        println!("| {name} | {supervisor} | {shim} | {} |", supervisor + shim);
    }
    Ok(())
}

/// Starts two runs. While there is one, what it has read of the program's file counts as private; with the second one only
/// what each has for itself does.
fn side_by_side(bench: &Bench, runs: &mut Vec<Child>) -> Result<[(&'static str, (u64, u64)); 2]> {
    let bundle = programs::bundle(&bench.folder, "sleeper");
    let bundle = bundle.to_str().ok_or("the folder of the bench is not UTF-8")?;
    let mut next = || {
        let mut supervisor = bench.sandboxctl(&["run", bundle]).stdout(Stdio::piped()).spawn()?;
        let measured = look(&mut supervisor);
        runs.push(supervisor);
        measured
    };
    Ok([("the only run, with the program's pages", next()?), ("each one more", next()?)])
}

/// Private memory of supervisor and shim, in kB, once the extension runs.
fn look(supervisor: &mut Child) -> Result<(u64, u64)> {
    let stdout = supervisor.stdout.take().ok_or("the supervisor has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line != "ready\n" {
        return Err(format!("the sleeper said {line:?}").into());
    }
    let pid = supervisor.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let shims: Vec<u32> =
        children.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
    let mut shim = 0;
    for pid in shims {
        shim += private_kb(pid)?;
    }
    Ok((private_kb(pid)?, shim))
}

/// The sum of Private_Clean, Private_Dirty and Private_Hugetlb of a process.
fn private_kb(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mut sum = 0;
    for line in text.lines().filter(|line| line.starts_with("Private_")) {
        let value =
            line.split_whitespace().nth(1).ok_or("smaps_rollup has a line without value")?;
        sum += value.parse::<u64>()?;
    }
    Ok(sum)
}
