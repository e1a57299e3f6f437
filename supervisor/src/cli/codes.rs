//! `sandboxctl codes`.

use std::process::ExitCode;

use policies::violation::Code;
use serde::Serialize;

use super::Failure;
use super::args::OutputArgs;
use super::output::{Table, json, text_out};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    code: Code,
    layer: policies::violation::Layer,
    severity: policies::violation::Severity,
    meaning: &'static str,
}

pub(super) fn main(args: OutputArgs) -> Result<ExitCode, Failure> {
    let lines: Vec<Line> = Code::ALL
        .iter()
        .map(|code| Line {
            code: *code,
            layer: code.layer(),
            severity: code.severity(),
            meaning: code.words(),
        })
        .collect();
    if args.json {
        return json(&lines);
    }
    let mut table = Table::default();
    for line in lines {
        let layer = format!("{:?}", line.layer).to_lowercase();
        let severity = format!("{:?}", line.severity).to_uppercase();
        table.row([line.code.text(), &layer, &severity, line.meaning]);
    }
    text_out(&table.render(0))
}
