//! A UDP way between agent and relay that is as bad as asked: it delays, loses, reorders, doubles and
//! cuts, has a bottleneck, drops what is too large, and changes the address under which the relay sees
//! the agent. What is random follows from a seed.
//!
//! Like a NAT, it shows each of the agent's sockets to the relay under a port of its own.

mod faults;
mod schedule;
mod way;

pub use faults::{Faults, Rate};
pub use schedule::{Schedule, Step};
pub use way::{Counts, Path};
