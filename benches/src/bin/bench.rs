//! `bench`: relay and agent beside other ways to do the same.

fn main() {}
