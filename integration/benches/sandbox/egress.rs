//! What egress by domain costs: at launch, for bulk data, for a round trip, for many connections. Beside a connection of
//! the host itself, and beside a network namespace behind veth and masquerading, all to the same server.

use std::process::{Child, Command};

use sandboxctl_integration::internet::Guest;
use sandboxctl_integration::{Internet, Site};

use crate::competitors::Competitor;
use crate::statistics::Series;
use crate::{Bench, Result, launch, programs};

/// Rounds, in each of which every side is measured once.
const ROUNDS: usize = 7;
/// Where the server of `net.c` listens: source, sink, echo.
const PORT: u16 = 7001;
/// A name that the pretend internet's name server lets be kept for an hour.
const HOST: &str = "kept.example.com";
const MIB: u32 = 512;
const ROUND_TRIPS: u32 = 1000;
const AT_ONCE: u32 = 1000;

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    set_up(bench)?;
    traffic(bench)
}

/// What it adds to a launch.
fn set_up(bench: &Bench) -> Result<()> {
    let run = |name, bundle: &str| -> Result<Competitor> {
        let bundle = programs::bundle(&bench.folder, bundle);
        let bundle = bundle.to_str().ok_or("the folder of the bench is not UTF-8")?;
        let command = Some(bench.sandboxctl(&["run", bundle]));
        Ok(Competitor { name, command, is_reference: name == NO_NETWORK })
    };
    let mut all = [
        run(NO_NETWORK, "true")?,
        run("one domain", "domain")?,
        run("20 domains, 3 ports", "domains")?,
    ];
    launch::table(bench, "Launch of a static `true` with a network, ms", NO_NETWORK, &mut all)
}

const NO_NETWORK: &str = "no network";

/// Where a client runs.
struct Sides<'a> {
    bench: &'a Bench,
    site: &'a Site,
    internet: &'a Internet,
    guest: Guest,
}

impl Sides<'_> {
    const NAMES: [&'static str; 3] = ["direct", "veth, masqueraded", "sandboxctl run"];

    fn command(&self, side: &str, arguments: &[&str]) -> Command {
        let program = self.bench.folder.join("net");
        let mut command = match side {
            "direct" => self.internet.command(program),
            "veth, masqueraded" => self.guest.command(program),
            _ => {
                // Its bounds are those of the enterprise tier, and nobody has signed it.
                let mut command = self.internet.supervisor(self.site);
                let bundle = programs::bundle(&self.bench.folder, "net");
                command.args(["--dev", "--quiet"]).arg(bundle).arg("--");
                command
            }
        };
        command.args(arguments);
        command
    }

    /// The numbers that the client prints.
    fn run(&self, side: &str, mode: &str, port: u16, count: u32) -> Result<Vec<f64>> {
        let output =
            self.command(side, &[mode, HOST, &port.to_string(), &count.to_string()]).output()?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{side}, {mode}: {}: {stderr}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        Ok(text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?)
    }
}

/// Ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn traffic(bench: &Bench) -> Result<()> {
    let site = Site::new();
    let internet = Internet::new(&site);
    let program = bench.folder.join("net");
    let program = program.to_str().ok_or("the folder of the bench is not UTF-8")?;
    let _server = Server(internet.serve(&[program, "serve", &PORT.to_string()]));
    let guest = internet.guest();
    let sides = Sides { bench, site: &site, internet: &internet, guest };
    let mut all: Vec<[Vec<f64>; 5]> = vec![<[Vec<f64>; 5]>::default(); Sides::NAMES.len()];
    for round in 0..=ROUNDS {
        for (side, series) in Sides::NAMES.into_iter().zip(&mut all) {
            let echo = sides.run(side, "echo", PORT + 2, ROUND_TRIPS)?;
            let [median, high] = echo[..] else { return Err("echo printed no two numbers".into()) };
            let values = [
                sides.run(side, "down", PORT, MIB)?[0],
                sides.run(side, "up", PORT + 1, MIB)?[0],
                median,
                high,
                sides.run(side, "many", PORT + 2, AT_ONCE)?[0],
            ];
            // The first round warms up.
            if round > 0 {
                series.iter_mut().zip(values).for_each(|(series, value)| series.push(value));
            }
        }
    }
    let all: Vec<[Series; 5]> = all.into_iter().map(|all| all.map(Series::new)).collect();
    println!("\n### Traffic over the network\n");
    println!(
        "Medians of {ROUNDS} rounds, interleaved; one transfer is {MIB} MiB. Ratio to direct in brackets.\n"
    );
    println!(
        "| client | down, Gbit/s | up, Gbit/s | connect and 1 byte, us | its p90 | {AT_ONCE} at once, ms |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, series) in Sides::NAMES.into_iter().zip(&all) {
        let cells: Vec<String> = series
            .iter()
            .zip(&all[0])
            .map(|(series, direct)| {
                let ratio = series.median() / direct.median();
                format!("{:.1} ({ratio:.2})", series.median())
            })
            .collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    Ok(())
}
