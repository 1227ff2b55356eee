//! What the system says of files: how many may be open, since each connection takes one, and who can read them.

use std::fs::Metadata;
use std::path::Path;

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

/// Whether others on this machine can read the file at `path`, which holds secrets.
#[cfg(unix)]
pub fn is_exposed(path: &Path, metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    // What systemd passes as a credential lies in a directory that only the service can enter.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if credentials.is_some_and(|directory| path.starts_with(directory)) {
        return false;
    }
    metadata.is_file() && metadata.permissions().mode() & 0o077 != 0
}

/// Whether others on this machine can read a file: not known here.
#[cfg(not(unix))]
pub fn is_exposed(_path: &Path, _metadata: &Metadata) -> bool {
    false
}
