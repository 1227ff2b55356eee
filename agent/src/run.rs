//! The agent from its start to its end.

use std::io;
use std::time::Duration;

use adit_shared::checkup::chain;
use adit_shared::task::Tasks;
use thiserror::Error;

use crate::capture::Capture;
use crate::capture::store::StoreError;
use crate::config::{Config, DEFAULT_INSPECT};
use crate::inspect;
use crate::link::{self, Stop};
use crate::status::{Event, Status};
use crate::ui::escape::escape;
use crate::ui::{self, View};

/// Opens the tunnels of `config` and shows what happens, until a signal or the relay ends it.
///
/// The first signal drains: no new work, and what is in flight may finish. The second ends it at
/// once. Not safe to drop: tasks would go on until the runtime ends.
///
/// # Errors
///
/// [`End`], unless it was stopped as asked.
pub async fn run(config: Config) -> Result<(), End> {
    let (status, tasks) = (Status::new(), Tasks::default());
    status.expect(config.tunnels.iter().map(|tunnel| tunnel.label.as_str()));
    // What shows the end must outlive it.
    let shows = Tasks::default();
    let movable = config.inspect == Some(DEFAULT_INSPECT);
    let listener = inspect::bind(config.inspect, movable).await?;
    let address = listener.as_ref().and_then(|l| l.local_addr().ok());
    let inspector = match listener {
        Some(listener) => {
            let capture = Capture::open(&config.keep)?;
            let serving = inspect::serve(listener, &status, capture, &config.tunnels, &shows);
            Some(serving.map_err(|error| End::Link(Stop::Origin(error)))?)
        }
        None => None,
    };
    let _shown = ui::start(View::new(&config, address), &status, inspector, &shows);

    let grace = config.drain_grace.max(LINGER);
    let work = async {
        let ended = link::run(config, status.clone(), tasks.clone()).await;
        tasks.drain(grace).await;
        ended
    };
    let ended = tokio::select! {
        biased;
        end = signals(&status, &tasks) => return Err(end),
        ended = work => ended,
    };
    let ended = match ended {
        Ok(()) | Err(Stop::Asked) => Ok(()),
        Err(Stop::Refused(why)) => Err(refused(why, &status)),
        Err(stop) => Err(End::Link(stop)),
    };
    shows.drain(LINGER).await;
    if let Some(capture) = status.capture() {
        drop(tokio::time::timeout(LINGER, capture.flush()).await);
    }
    ended
}

/// Says that the relay refused us, unless it is known as the refusal of a claim.
fn refused(why: String, status: &Status) -> End {
    let tunnels = status.snapshot().tunnels;
    let is_claim = tunnels.iter().any(|t| t.refused.as_ref() == Some(&why));
    if !is_claim {
        status.emit(Event::Refused {
            tunnel: String::new(),
            reason: "session",
            message: why.clone(),
        });
    }
    End::Refused { why, is_claim }
}

/// Why the agent ended otherwise than asked.
#[derive(Debug, Error)]
pub enum End {
    /// The relay does not want us; trying again does not help.
    #[error("the relay refused this agent: {why}")]
    Refused {
        /// What it said.
        why: String,
        /// Whether that was its answer to a claim, which has been shown.
        is_claim: bool,
    },
    /// The link could not begin, or not go on.
    #[error(transparent)]
    Link(Stop),
    /// There is no inspector.
    #[error(transparent)]
    Inspect(#[from] inspect::BindError),
    /// Exchanges cannot be kept on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Signals cannot be caught.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// A second signal came while it drained.
    #[error("ended at once")]
    Signal {
        /// The number of the signal.
        number: u8,
    },
}

impl End {
    /// The exit code, as scripts may rely on it.
    pub fn code(&self) -> u8 {
        match self {
            Self::Link(Stop::Asked) => 0,
            Self::Link(Stop::Local(_)) | Self::Signals(_) => 1,
            Self::Link(Stop::Unreachable(_)) => 69,
            Self::Link(Stop::Refused(_) | Stop::Replaced(_)) | Self::Refused { .. } => 77,
            Self::Link(Stop::Identity(_) | Stop::Origin(_) | Stop::Tls(_))
            | Self::Inspect(_)
            | Self::Store(_) => 78,
            Self::Signal { number } => 128 + number,
        }
    }

    /// What happened and what to do, for people; nothing when they know.
    pub fn explain(&self) -> Option<String> {
        let (what, advice) = match self {
            Self::Signal { .. } => return None,
            Self::Refused { is_claim: true, .. } => ("no tunnel was granted".to_owned(), None),
            // The relay's own sentence says what can be done.
            Self::Refused { .. } => (self.to_string(), None),
            Self::Link(Stop::Unreachable(_)) => (
                format!("the relay cannot be reached: {}", chain(self)),
                Some("To see what is wrong, say `agent doctor` with the same options."),
            ),
            Self::Inspect(_) => (
                chain(self),
                Some("Choose another address with --inspect ADDR, or --inspect off."),
            ),
            Self::Link(_) | Self::Store(_) | Self::Signals(_) => (chain(self), None),
        };
        let what = escape(&what, MAX_WHAT);
        Some(match advice {
            Some(advice) => format!("{what}\n{advice}"),
            None => what.into_owned(),
        })
    }
}

/// Starts the drain at the first signal; ends at the second.
async fn signals(status: &Status, tasks: &Tasks) -> End {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return End::Signals(error),
    };
    signals.next().await;
    status.emit(Event::Draining);
    tasks.stop();
    let number = signals.next().await;
    End::Signal { number }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        // Without it, there is no way to be stopped as asked.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        SIGINT
    }
}

const SIGINT: u8 = 2;
#[cfg(unix)]
const SIGTERM: u8 = 15;

/// How long what has been told to end may take, once nothing is in flight.
const LINGER: Duration = Duration::from_secs(1);
/// In characters.
const MAX_WHAT: usize = 800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_what_scripts_rely_on() {
        let unreachable = Stop::Unreachable("no answer".into());
        for (end, code) in [
            (End::Link(unreachable), 69),
            (refused("bad token".into(), &Status::new()), 77),
            (End::Signal { number: SIGINT }, 130),
            (End::Signals(io::ErrorKind::Other.into()), 1),
        ] {
            assert_eq!(end.code(), code, "{end}");
        }
    }

    #[test]
    fn a_refusal_is_said_once() {
        let status = Status::new();
        let mut events = status.subscribe();
        let end = refused("bad\u{1b} token".into(), &status);
        let text = end.explain().unwrap();
        assert!(text.ends_with("bad\\x1b token"), "{text}");
        assert!(matches!(
            events.try_recv(),
            Ok(Event::Refused { tunnel, reason: "session", .. }) if tunnel.is_empty()
        ));

        status.emit(Event::Refused {
            tunnel: "web".into(),
            reason: "taken",
            message: "it is taken".into(),
        });
        let end = refused("it is taken".into(), &status);
        assert_eq!(end.explain().unwrap(), "no tunnel was granted");
        assert!(events.try_recv().is_ok() && events.try_recv().is_err());
    }
}
