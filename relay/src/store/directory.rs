//! The state directory: made private, and filled so that a reader never sees half a file.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who may read a new file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Whoever may enter the directory.
    All,
}

/// Makes a directory that only its owner may enter, with those above it. One that exists stays as
/// it is.
///
/// # Errors
///
/// Whatever the file system says.
pub fn create(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Makes an empty file that only its owner may read, unless there is one.
pub(crate) fn create_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

/// The contents of the file, which `make` gives when there is none yet. Of several programs that
/// make the file at once one wins, and all get what it wrote.
///
/// # Errors
///
/// Whatever the file system or `make` says.
pub fn read_or_create(
    path: &Path,
    readers: Readers,
    make: impl FnOnce() -> io::Result<String>,
) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let contents = make()?;
    if publish(path, readers, &contents)? {
        Ok(contents)
    } else {
        fs::read_to_string(path)
    }
}

/// Gives the file its name only when its contents are on disk; false when another file has it.
fn publish(path: &Path, readers: Readers, contents: &str) -> io::Result<bool> {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("draft-{}-{number}", std::process::id()));
    write(&draft, readers, contents)?;
    // Unlike a rename, a link does not replace what is there.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, readers: Readers, contents: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(match readers {
            Readers::Owner => 0o600,
            Readers::All => 0o644,
        });
    }
    #[cfg(not(unix))]
    let _ = readers;
    let mut file = options.open(path)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}

/// A directory for one test, removed at its end.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Scratch(std::path::PathBuf);

#[cfg(test)]
impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("adit-relay-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        create(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_writers_one_wins_and_all_read_it() {
        let dir = Scratch::new();
        let path = dir.path().join("file.pem");
        let all: Vec<String> = std::thread::scope(|scope| {
            let writer = |number: u32| {
                let path = &path;
                scope.spawn(move || {
                    read_or_create(path, Readers::Owner, || Ok(number.to_string())).unwrap()
                })
            };
            let writers: Vec<_> = (0..8).map(writer).collect();
            writers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }
}
