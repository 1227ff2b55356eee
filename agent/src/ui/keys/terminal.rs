//! The terminal of a Unix system.

use std::io::{self, IsTerminal as _, Stdin};
use std::panic;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::{Decoder, Key};

/// The keys of the terminal that stdin and stderr are.
#[derive(Debug)]
pub(crate) struct Keys {
    terminal: Arc<Terminal>,
    input: AsyncFd<Stdin>,
    decoder: Decoder,
    /// The terminal has hung up, and is readable for ever.
    is_gone: bool,
    stop: Stream,
    hangup: Stream,
    quit: Stream,
}

/// Gives the terminal back when it is dropped.
#[derive(Debug)]
pub(crate) struct Back(Arc<Terminal>);

/// How the terminal was before we changed it.
#[derive(Debug, Default)]
struct Terminal(Mutex<Option<Termios>>);

impl Keys {
    /// Takes keys from now on, if there is somebody who could press them and see what comes of it.
    pub(crate) fn start() -> Option<(Self, Back)> {
        let input = io::stdin();
        if !input.is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        #[expect(
            deprecated,
            reason = "stdin stays open, which is what its successor makes us swear"
        )]
        let input = AsyncFd::with_interest(input, Interest::READABLE).ok()?;
        let stream = |kind: Signal| signal(SignalKind::from_raw(kind.as_raw())).ok();
        let keys = Self {
            terminal: Arc::default(),
            input,
            decoder: Decoder::default(),
            is_gone: false,
            stop: stream(Signal::TSTP)?,
            hangup: stream(Signal::HUP)?,
            quit: stream(Signal::QUIT)?,
        };
        let (terminal, next) = (keys.terminal.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |what| {
            terminal.leave();
            next(what);
        }));
        keys.look();
        let back = Back(keys.terminal.clone());
        Some((keys, back))
    }

    /// Takes the terminal if it is ours to take: we may have come to its foreground, or a shell may have set
    /// it as it likes it.
    pub(crate) fn look(&self) {
        // Without a terminal there will be no keys either.
        let _ = self.terminal.enter();
    }

    /// The next keys. Safe to drop.
    pub(crate) async fn next(&mut self) -> Vec<Key> {
        loop {
            tokio::select! {
                biased;
                _ = self.hangup.recv() => self.terminal.end(Signal::HUP),
                _ = self.quit.recv() => self.terminal.end(Signal::QUIT),
                _ = self.stop.recv() => {
                    self.terminal.leave();
                    // What the terminal's own signal would do: it stops us unless no shell is there to go on
                    // with us. That one is caught, this one is not.
                    let _ = kill_process(getpid(), Signal::TTIN);
                    self.look();
                }
                ready = self.input.readable(), if !self.is_gone => {
                    let Ok(mut ready) = ready else {
                        return std::future::pending().await;
                    };
                    self.is_gone = ready.ready().is_read_closed();
                    ready.clear_ready();
                    let keys = read();
                    let keys = self.decoder.keys(&keys);
                    if !keys.is_empty() {
                        return keys;
                    }
                }
            }
        }
    }

    /// Does what Ctrl-C does.
    pub(crate) fn interrupt() {
        let _ = kill_process(getpid(), Signal::INT);
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Terminal {
    fn enter(&self) -> rustix::io::Result<()> {
        if !is_ours() {
            return Ok(());
        }
        let now = tcgetattr(io::stdin())?;
        if !now.local_modes.intersects(LINES) {
            return Ok(());
        }
        let mut keys = now.clone();
        keys.local_modes.remove(LINES);
        // A read that finds nothing returns at once.
        keys.special_codes[SpecialCodeIndex::VMIN] = 0;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(now);
        tcsetattr(io::stdin(), OptionalActions::Now, &keys)
    }

    fn leave(&self) {
        let was = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(was) = was.filter(|_| is_ours()) {
            // It fails when the terminal is gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &was);
        }
    }

    /// Ends as the signal would have done.
    fn end(&self, by: Signal) {
        self.leave();
        process::exit(128 + by.as_raw());
    }
}

/// What has come, as long as it is ours and comes key by key.
fn read() -> Vec<u8> {
    let mut bytes = vec![0; MAX_READ];
    let is_by_key = tcgetattr(io::stdin()).is_ok_and(|now| !now.local_modes.intersects(LINES));
    let length = if is_ours() && is_by_key {
        rustix::io::read(io::stdin(), &mut bytes[..]).unwrap_or(0)
    } else {
        0
    };
    bytes.truncate(length);
    bytes
}

/// Whether we are in the foreground: who is not is stopped when it reads or sets the terminal.
fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Lines are edited by the terminal, and shown by it.
const LINES: LocalModes = LocalModes::ICANON.union(LocalModes::ECHO);
/// More than anybody types at once.
const MAX_READ: usize = 1 << 10;
