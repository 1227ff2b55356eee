//! `bench`: relay and agent beside other ways to do the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    adit_benches::suite::main()
}
