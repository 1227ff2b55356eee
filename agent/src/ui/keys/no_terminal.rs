//! There are no keys on this system.

use std::convert::Infallible;

use super::Key;

/// Never made.
#[derive(Debug)]
pub(crate) struct Keys(Infallible);

/// Never made.
#[derive(Debug)]
pub(crate) struct Back(Infallible);

impl Keys {
    pub(crate) fn start() -> Option<(Self, Back)> {
        None
    }

    pub(crate) fn look(&self) {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "as where there are keys")]
    pub(crate) async fn next(&mut self) -> Vec<Key> {
        match self.0 {}
    }

    pub(crate) fn interrupt() {}
}

impl Back {
    #[expect(dead_code, reason = "as where there are keys")]
    fn never(&self) {
        match self.0 {}
    }
}
