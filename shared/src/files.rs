//! How many files the system lets this program have open: each connection takes one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the system allows, and says how far that is. The usual soft limit of 1024
/// is kept low for programs that are too old for more, and we are not.
pub fn raise_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, what there is has to do.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
