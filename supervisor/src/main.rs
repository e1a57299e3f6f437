//! The `sandboxctl` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandboxctl::cli::main()
}
