//! What a system call costs inside against outside, and a denied and recorded one.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::{Bench, Result, programs};

/// How often the probe runs on each side; the lowest median counts, for noise only adds.
const ROUNDS: usize = 3;

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let bundle = programs::bundle(&bench.folder, "probe");
    let program = bundle.join("probe");
    let bundle = bundle.to_str().ok_or("the folder of the bench is not UTF-8")?;
    let (mut outside, mut inside) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..ROUNDS {
        let mut bare = Command::new(&program);
        lowest(&mut outside, bare.arg(&program))?;
        lowest(&mut inside, &mut bench.sandboxctl(&["run", bundle]))?;
    }

    println!("\n### System calls, ns\n");
    println!("| call | outside | inside | difference |");
    println!("|---|--:|--:|--:|");
    for call in ["getpid", "read", "open+close"] {
        let get = |side: &BTreeMap<String, f64>| {
            side.get(call).copied().ok_or_else(|| format!("the probe printed no {call}"))
        };
        let (bare, confined) = (get(&outside)?, get(&inside)?);
        println!("| {call} | {bare:.0} | {confined:.0} | {:+.0} |", confined - bare);
    }
    let denied = inside.get("denied").ok_or("the probe printed no denied")?;
    println!("| mount, denied and recorded | | {denied:.0} | |");
    Ok(())
}

fn lowest(best: &mut BTreeMap<String, f64>, command: &mut Command) -> Result<()> {
    let output = command.stdout(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(format!("the probe failed: {}", output.status).into());
    }
    for line in String::from_utf8(output.stdout)?.lines() {
        let (name, value) = line.split_once(' ').ok_or("the probe printed a line without value")?;
        let value: f64 = value.parse()?;
        best.entry(name.to_owned()).and_modify(|known| *known = known.min(value)).or_insert(value);
    }
    Ok(())
}
