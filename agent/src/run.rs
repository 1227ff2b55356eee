//! The agent from its start to its end.

use std::io;
use std::time::Duration;

use adit_shared::task::Tasks;
use thiserror::Error;

use crate::command::doctor::chain;
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
    // What shows the end must outlive it.
    let shows = Tasks::default();
    let movable = config.inspect == Some(DEFAULT_INSPECT);
    let listener = inspect::bind(config.inspect, movable).await?;
    let address = listener.as_ref().and_then(|l| l.local_addr().ok());
    ui::start(View::new(&config, address), &status, &shows);
    if let Some(listener) = listener {
        inspect::serve(listener, &status, &shows);
    }

    let work = async {
        let ended = link::run(config, status.clone(), tasks.clone()).await;
        tasks.drain(LINGER).await;
        ended
    };
    let ended = tokio::select! {
        biased;
        end = signals(&status, &tasks) => return Err(end),
        ended = work => ended,
    };
    shows.drain(LINGER).await;
    match ended {
        Ok(()) | Err(Stop::Asked) => Ok(()),
        Err(stop) => Err(stop.into()),
    }
}

/// Why the agent ended otherwise than asked.
#[derive(Debug, Error)]
pub enum End {
    /// The relay ended it, or could not be reached.
    #[error(transparent)]
    Link(#[from] Stop),
    /// There is no inspector.
    #[error(transparent)]
    Inspect(#[from] inspect::BindError),
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
            Self::Link(Stop::Unreachable(_)) => 69,
            Self::Link(Stop::Refused(_)) => 77,
            Self::Link(_) => 78,
            Self::Inspect(_) => 78,
            Self::Signals(_) => 1,
            Self::Signal { number } => 128 + number,
        }
    }

    /// What happened and what to do, for people; nothing when they know.
    pub fn explain(&self) -> Option<String> {
        match self {
            Self::Link(Stop::Asked) | Self::Signal { .. } => None,
            Self::Link(Stop::Refused(why)) => Some(format!(
                "the relay refused this agent: {}\n\
                 A token is given with --token-file FILE or ADIT_TOKEN; \
                 who runs the relay makes one with: relay token create",
                escape(why, MAX_WHY)
            )),
            Self::Link(Stop::Unreachable(why)) => Some(format!(
                "the relay cannot be reached: {}\n\
                 To see what is wrong, say `agent doctor` with the same options",
                escape(why, MAX_WHY)
            )),
            Self::Link(_) => Some(chain(self)),
            Self::Inspect(_) => Some(format!(
                "{}\nChoose another address with --inspect ADDR, or --inspect off",
                chain(self)
            )),
            Self::Signals(_) => Some(chain(self)),
        }
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
const MAX_WHY: usize = 600;
