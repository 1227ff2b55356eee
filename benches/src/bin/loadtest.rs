//! `loadtest`: a load tester for anything that speaks HTTP.

fn main() {}
