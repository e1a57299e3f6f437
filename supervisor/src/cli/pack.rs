//! `sandboxctl pack`.

use std::path::PathBuf;
use std::process::ExitCode;

use policies::digest::Digest;
use serde::Serialize;

use super::args::PackArgs;
use super::output::{json, text_out};
use super::{Failure, admitted};
use crate::admit::Rules;
use crate::bundle::pack::{self, Packed};
use crate::state::Dirs;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    path: PathBuf,
    extension_id: &'a str,
    version: String,
    digest: Digest,
    signed: bool,
    files: usize,
    bytes: u64,
    archive_bytes: u64,
}

pub(super) fn main(args: &PackArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    let rules = Rules::load(dirs).map_err(|error| admitted(&error))?;
    let packed = pack::pack(&args.dir, &args.output, args.force, &rules.policies);
    let Packed { listed, archive_bytes } =
        packed.map_err(|error| Failure::new(&error).hint(error.hint()))?;
    let answer = Answer {
        path: args.output.clone(),
        extension_id: listed.list.head().id(),
        version: listed.list.head().version().to_string(),
        digest: *listed.digest(),
        signed: listed.statement.p7s.is_some(),
        files: listed.list.entries().len(),
        bytes: listed.list.total_bytes(),
        archive_bytes,
    };
    if args.json {
        return json(&answer);
    }
    text_out(&format!(
        "{}: {} {}, {} files, {} bytes packed into {}, {}\nsha256:{}\n",
        answer.path.display(),
        answer.extension_id,
        answer.version,
        answer.files,
        answer.bytes,
        answer.archive_bytes,
        if answer.signed { "signed" } else { "not signed" },
        answer.digest,
    ))
}
