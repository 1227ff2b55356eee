//! Whether a program can keep its state where it means to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Row;

/// Whether files can be made in `path`, as a row; `fix` says what to do when not.
pub fn row(path: &Path, fix: &str) -> Row {
    let shown = path.display();
    match try_write(path) {
        Ok(()) if path.exists() => match exposed(path) {
            Some(mode) => Row::warn(
                NAME,
                format!("everybody may write to {shown} (mode {mode:o}), so change what is kept"),
                format!("chmod 700 {shown}"),
            ),
            None => Row::ok(NAME, format!("{shown} can be written")),
        },
        Ok(()) => Row::ok(NAME, format!("{shown} can be made")),
        Err((tried, error)) => Row::fail(
            NAME,
            format!("cannot write to {}: {error}", tried.display()),
            fix,
        ),
    }
}

/// Whether files can be made in `path`, or, if it is not there yet, in the nearest directory above
/// it that is. Leaves nothing behind.
///
/// # Errors
///
/// The directory that was tried, with what the file system says.
pub fn try_write(path: &Path) -> Result<(), (PathBuf, io::Error)> {
    let existing = path.ancestors().find(|path| path.exists());
    let existing = existing
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let probe = existing.join(format!(".adit-probe-{}", std::process::id()));
    fs::File::create_new(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|error| (existing.to_owned(), error))
}

/// The mode of a directory in which everybody may replace everything.
#[cfg(unix)]
fn exposed(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    // With the sticky bit only the owner of a file may replace it.
    (mode & 0o1002 == 0o0002).then_some(mode)
}

#[cfg(not(unix))]
fn exposed(_: &Path) -> Option<u32> {
    None
}

const NAME: &str = "state directory";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Verdict;

    #[test]
    fn trying_leaves_nothing_behind_and_says_what_cannot_be_written() {
        let dir = std::env::temp_dir().join(format!("adit-checkup-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(row(&dir.join("not/yet"), "").verdict, Verdict::Ok);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        // A file where a directory should be stops every user, the superuser too.
        fs::write(dir.join("file"), "").unwrap();
        let failed = row(&dir.join("file/state"), "give another");
        assert_eq!(failed.verdict, Verdict::Fail);
        assert_eq!(failed.fix, "give another");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
            assert_eq!(row(&dir, "").verdict, Verdict::Warn);
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
