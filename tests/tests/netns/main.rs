//! The built programs in network namespaces, with interfaces, routes and a router that are changed under
//! them, and on a disk of their own. Linux only, and it needs root: `make netns`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "figures, beside what fails")]

mod blocked;
mod full_disk;
mod moves;
mod net;
mod scene;
