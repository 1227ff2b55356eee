//! Transfers that last, and when something came of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::sink::Sink;
use crate::suite::cases::paths::ENDLESS;
use crate::suite::systems::System;
use crate::suite::transfer::Visitor;

/// One that goes on until it is dropped.
pub(super) struct Lasting {
    /// What kind it is.
    pub name: &'static str,
    marks: Marks,
    running: JoinSet<anyhow::Result<()>>,
}

impl Lasting {
    /// A download.
    pub(super) async fn down(system: &System) -> anyhow::Result<Self> {
        Self::reading("download", system, &ENDLESS.to_string()).await
    }

    /// Server-sent events, ten a second.
    pub(super) async fn events(system: &System) -> anyhow::Result<Self> {
        Self::reading("events", system, "sse").await
    }

    async fn reading(name: &'static str, system: &System, path: &str) -> anyhow::Result<Self> {
        let mut visitor = Visitor::of(system).await?;
        visitor.ask(path).await?;
        let mut buffer = vec![0; BLOCK];
        Ok(Self::run(name, |marks| async move {
            loop {
                let read = visitor.stream().read(&mut buffer).await?;
                ensure!(read > 0, "it was cut");
                marks.mark();
            }
        }))
    }

    /// An upload, which gets on when something of it comes to the origin.
    pub(super) async fn up(system: &System, sink: &Sink) -> anyhow::Result<Self> {
        let mut visitor = Visitor::of(system).await?;
        visitor.begin_upload(ENDLESS).await?;
        let block = vec![b'x'; BLOCK];
        let mut all = Self::run("upload", |_| async move {
            loop {
                visitor.stream().write_all(&block).await?;
            }
        });
        all.marks = sink.marks.clone();
        Ok(all)
    }

    fn run<F>(name: &'static str, work: impl FnOnce(Marks) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let marks = Marks::default();
        let mut running = JoinSet::new();
        running.spawn(work(marks.clone()));
        Self {
            name,
            marks,
            running,
        }
    }

    /// How long after `moment` it got on, once it has. Fails when it is lost, or does not in time.
    pub(super) async fn after(&mut self, moment: Instant) -> anyhow::Result<Duration> {
        loop {
            let next = self
                .marks
                .lock()
                .iter()
                .find(|mark| **mark > moment)
                .copied();
            if let Some(next) = next {
                return Ok(next - moment);
            }
            if let Some(ended) = self.running.try_join_next() {
                ended?.with_context(|| format!("the {} was lost", self.name))?;
            }
            if moment.elapsed() > LOST {
                bail!("the {} never went on", self.name);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The longest pause that began within `span` from `moment` on, or was there then.
    pub(super) fn pause(&self, moment: Instant, span: Duration) -> Duration {
        let marks = self.marks.lock();
        let pauses = marks.windows(2).filter(|pair| {
            let [from, to] = [pair[0], pair[1]];
            to > moment && from < moment + span
        });
        pauses.map(|pair| pair[1] - pair[0]).max().unwrap_or(LOST)
    }
}

/// When something came.
#[derive(Clone, Default)]
pub(super) struct Marks(Arc<Mutex<Vec<Instant>>>);

impl Marks {
    /// It came now.
    pub(super) fn mark(&self) {
        self.lock().push(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const BLOCK: usize = 16 << 10;
/// After this it will be silent for ever.
const LOST: Duration = Duration::from_secs(40);
