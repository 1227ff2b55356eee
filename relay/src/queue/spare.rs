//! Space on the disk that is held for what makes room. Once requests have filled a disk, the database could not
//! even note that one was delivered: its log could neither grow nor be carried over.
//!
//! So a file holds as much as carrying the log over can take. When the disk is full the file goes, and until
//! there is room for it again nothing more is kept.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The space.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    bytes: usize,
    is: Is,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Is {
    /// Nothing was kept yet.
    Unneeded,
    Held,
    /// The disk was full.
    Gone,
}

impl Spare {
    /// As many bytes beside `database`, from when they are needed first.
    pub(super) fn beside(database: &Path, bytes: usize) -> Self {
        // SQLite writes its log beside the file itself, wherever a link to it is.
        let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        Self {
            path: database.with_extension("spare"),
            bytes,
            is: Is::Unneeded,
        }
    }

    /// Whether the space is held, so that something may be kept.
    pub(super) fn is_held(&mut self) -> bool {
        if self.is == Is::Unneeded {
            self.take();
        }
        self.is == Is::Held
    }

    /// Gives it up. Says whether there was something to give up.
    pub(super) fn give_up(&mut self) -> bool {
        let was_held = self.is == Is::Held;
        self.is = Is::Gone;
        // Without the file there is nothing that could be given up.
        drop(fs::remove_file(&self.path));
        was_held
    }

    /// Takes it again, after it was given up.
    pub(super) fn regain(&mut self) {
        if self.is == Is::Gone {
            self.take();
        }
    }

    fn take(&mut self) {
        match self.fill() {
            Ok(()) => self.is = Is::Held,
            Err(error) => {
                tracing::debug!(%error, "inbox: no spare room on the disk");
                self.give_up();
            }
        }
    }

    fn fill(&self) -> io::Result<()> {
        let length = fs::metadata(&self.path).map(|file| file.len());
        if length.is_ok_and(|length| length == self.bytes as u64) {
            return Ok(());
        }
        let mut file = File::create(&self.path)?;
        let zeros = vec![0; PIECE];
        let mut left = self.bytes;
        while left > 0 {
            let piece = left.min(PIECE);
            file.write_all(&zeros[..piece])?;
            left -= piece;
        }
        Ok(())
    }
}

const PIECE: usize = 1 << 20;
