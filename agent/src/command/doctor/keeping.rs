//! Where the agent keeps its identity.

use std::path::Path;

use adit_shared::checkup::{Row, chain, directory};
use adit_shared::identity::Identity;

use super::bad_config;
use crate::config::{Given, identity_in};

pub(super) fn directory(given: &Given) -> Row {
    match given.state_dir() {
        Ok(path) => directory::row(&path, "give a directory of your own with --state-dir DIR"),
        Err(error) => bad_config("state directory", &error),
    }
}

pub(super) fn identity(given: &Given) -> Row {
    let Ok(state_dir) = given.state_dir() else {
        return Row::skipped(IDENTITY, "there is no state directory");
    };
    let path = identity_in(&state_dir);
    match kept(&path) {
        None => Row::ok(IDENTITY, "is made on the first run"),
        Some(Ok(_)) if is_exposed(&path) => Row::warn(
            IDENTITY,
            format!(
                "others can read {}, and take your names with it",
                path.display()
            ),
            format!("chmod 600 {}", path.display()),
        ),
        Some(Ok(identity)) => Row::ok(IDENTITY, identity.fingerprint()),
        Some(Err(why)) => Row::fail(
            IDENTITY,
            why,
            "give the file to the user that runs the agent, or move it away: then a new identity \
             is made, with other names",
        ),
    }
}

/// The identity of a machine on which an agent has run.
pub(super) fn kept(path: &Path) -> Option<Result<Identity, String>> {
    // Only what is there is read: a checkup makes no identity.
    let exists = path.try_exists().unwrap_or(true);
    exists.then(|| Identity::load_or_create(path).map_err(|error| chain(&error)))
}

#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &Path) -> bool {
    false
}

const IDENTITY: &str = "identity";
