//! What the agent says while it runs: events as they come, for people or for programs.
//!
//! The URL stands alone on stdout, for scripts; everything for people goes to stderr. Writing is
//! done away from the runtime's thread, since a terminal that is paused or a pipe that nobody reads
//! must not stop the tunnels; a pipe that is closed is no reason to stop either.
//!
//! - [`escape`]: text from strangers;
//! - `style`: how words and figures look;
//! - `life`: what happens, as a sentence, and `request`: one that ended, as a line;
//! - `outage`: a relay that stays away, without a line for each try;
//! - `human`: all of it, for people;
//! - `qr`: a URL as a QR code;
//! - `keys`: what is pressed, and `controls`: what that does.

mod controls;
pub mod escape;
mod human;
mod keys;
mod life;
mod outage;
mod qr;
mod request;
mod style;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::task::Tasks;
use jiff::tz::TimeZone;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::config::{Config, Origin, RelayAddress};
use crate::inspect::Inspector;
use crate::status::{Event, Status, json};
use controls::{Controls, Do};
use human::Human;
use keys::{Back, Keys};

pub(crate) use style::brief;

/// What is known from the start about what will be said.
#[derive(Clone, Debug)]
pub struct View {
    json: bool,
    qr: bool,
    relay: RelayAddress,
    /// Label and origin of each tunnel.
    origins: Vec<(String, Origin)>,
    inspect: Option<SocketAddr>,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    has_keys: bool,
}

impl View {
    /// What `config` says; `inspect` is where the inspector really is.
    pub fn new(config: &Config, inspect: Option<SocketAddr>) -> Self {
        let origins = config
            .tunnels
            .iter()
            .map(|tunnel| (tunnel.label.clone(), tunnel.origin.clone()));
        Self {
            json: config.json,
            qr: config.qr,
            relay: config.relay.clone(),
            origins: origins.collect(),
            inspect,
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            has_keys: false,
        }
    }
}

/// What the terminal is to be given back by. On a terminal this must outlive everything that may end the
/// agent.
#[derive(Debug)]
#[must_use]
pub struct Shown(#[expect(dead_code, reason = "it acts when it is dropped")] Option<Back>);

/// Says what happens, on a task of `tasks`, until they are stopped; what happened before that is
/// still said. On a terminal, does what the keys say.
pub fn start(
    mut view: View,
    status: &Status,
    inspector: Option<Arc<Inspector>>,
    tasks: &Tasks,
) -> Shown {
    let mut events = status.subscribe();
    let (mut keys, back) = if view.json { None } else { Keys::start() }.unzip();
    view.has_keys = keys.is_some();
    if view.json {
        status.tell_all_requests();
    }
    let status = status.clone();
    let stopped = tasks.clone();
    tasks.spawn(tracing::Span::none(), async move {
        let mut human = Human::new(view.clone(), status.clone(), TimeZone::system());
        let mut controls = Controls::new(inspector, view.inspect);
        let mut text = Text::default();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        // The first is at once.
        ticks.tick().await;
        let mut is_said = view.json;
        loop {
            let first = tokio::select! {
                biased;
                pressed = pressed(&mut keys) => {
                    let before = controls.prompt();
                    for key in pressed {
                        if controls.press(key, &mut text) == Do::Stop {
                            Keys::interrupt();
                        }
                    }
                    let prompts = [before, controls.prompt()];
                    std::mem::take(&mut text).write(prompts).await;
                    continue;
                }
                event = events.recv() => event,
                () = stopped.stopped() => return,
                _ = ticks.tick() => {
                    if let Some(keys) = &keys {
                        keys.look();
                    }
                    if !std::mem::replace(&mut is_said, true) {
                        text.err(&format!("connecting to relay {}", view.relay));
                    }
                    let untold = status.take_untold();
                    if untold > 0 {
                        text.err(&format!("         ... and {untold} more requests"));
                    }
                    if !text.0.is_empty() {
                        std::mem::take(&mut text).write(controls.prompts()).await;
                    }
                    continue;
                }
            };
            is_said = true;
            match first {
                Ok(event) => text.add(&event, &view, &mut human, &controls),
                Err(RecvError::Lagged(missed)) => warn(missed),
                Err(RecvError::Closed) => return,
            }
            text.add_waiting(&mut events, &view, &mut human, &controls);
            std::mem::take(&mut text).write(controls.prompts()).await;
        }
    });
    Shown(back)
}

/// The next keys, if there are any ever. Safe to drop.
async fn pressed(keys: &mut Option<Keys>) -> Vec<keys::Key> {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

fn warn(missed: u64) {
    tracing::warn!(missed, "events came faster than they could be shown");
}

/// Text that waits to be written, in order.
#[derive(Debug, Default, Eq, PartialEq)]
struct Text(Vec<(Stream, String)>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stream {
    Out,
    Err,
}

impl Text {
    fn add(&mut self, event: &Event, view: &View, human: &mut Human, controls: &Controls) {
        if view.json {
            self.out(&json::line(event, SystemTime::now()));
        } else if !matches!(event, Event::Request(request) if !controls.wants(request)) {
            human.say(event, self);
        }
    }

    /// Takes what came in the meantime too, so that many events cost one write.
    fn add_waiting(
        &mut self,
        events: &mut Receiver<Event>,
        view: &View,
        human: &mut Human,
        controls: &Controls,
    ) {
        for _ in 0..BATCH {
            match events.try_recv() {
                Ok(event) => self.add(&event, view, human, controls),
                Err(TryRecvError::Lagged(missed)) => warn(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn out(&mut self, line: &str) {
        self.line(Stream::Out, line);
    }

    fn err(&mut self, line: &str) {
        self.line(Stream::Err, line);
    }

    fn line(&mut self, to: Stream, line: &str) {
        match self.0.last_mut() {
            Some((stream, text)) if *stream == to => {
                text.push_str(line);
                text.push('\n');
            }
            _ => self.0.push((to, format!("{line}\n"))),
        }
    }

    /// Writes it in the place of the first prompt, and the second below it. Not safe to drop: then nobody
    /// waits for the rest, which is written nevertheless.
    async fn write(self, [before, after]: [Option<String>; 2]) {
        let written = tokio::task::spawn_blocking(move || {
            // Not by way of what takes colours out: a prompt is on a terminal always.
            if before.is_some() {
                drop(put(io::stderr().lock(), ERASE));
            }
            for (stream, text) in self.0 {
                // There is nobody to tell when it fails.
                drop(match stream {
                    Stream::Out => put(io::stdout().lock(), &text),
                    Stream::Err => put(anstream::stderr().lock(), &text),
                });
            }
            if let Some(prompt) = after {
                drop(put(io::stderr().lock(), &prompt));
            }
        });
        drop(written.await);
    }
}

fn put(mut to: impl io::Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Takes the line away that the cursor is on.
const ERASE: &str = "\r\x1b[2K";
/// Events that are written at once.
const BATCH: usize = 256;
