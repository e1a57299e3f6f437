//! {{name}}: reports the scrap rate of a few work orders. Build it with `./build.sh`.

use std::fmt::Write as _;
use std::fs;

const ORDERS: [(&str, u32, u32); 3] =
    [("WO-1001", 480, 12), ("WO-1002", 512, 3), ("WO-1003", 1290, 41)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut report = String::new();
    for (order, good, scrap) in ORDERS {
        let rate = 100.0 * f64::from(scrap) / f64::from(good + scrap);
        writeln!(report, "{order}: {rate:.2} % scrap")?;
    }
    print!("{report}");
    fs::write("/data/report.txt", &report)?;
    println!("{{id}} wrote /data/report.txt");
    Ok(())
}
