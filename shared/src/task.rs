//! Tasks that end together. The concurrency law of both programs: no task runs outside a [`Tasks`].

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use crate::signal::Signal;

/// A group of tasks: [`stop`](Self::stop) asks them to end, [`drain`](Self::drain) waits for it,
/// [`abort`](Self::abort) ends those that spawned with [`spawn`](Self::spawn) at once.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    stop: Signal,
    abort: Signal,
    alive: TaskTracker,
}

impl Tasks {
    /// A group that stops and aborts with this one, and that this one waits for.
    pub fn child(&self) -> Self {
        Self {
            stop: self.stop.child(),
            abort: self.abort.child(),
            alive: self.alive.clone(),
        }
    }

    /// A group that stops and aborts with this one, but that this one does not wait for: its tasks
    /// touch nothing that tasks on other threads touch.
    pub fn apart(&self) -> Self {
        Self {
            alive: TaskTracker::new(),
            ..self.child()
        }
    }

    /// Runs `work` until it ends or the group is aborted. `work` itself must watch
    /// [`stopped`](Self::stopped) if it would otherwise go on for ever.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that spawns"
    )]
    pub fn spawn(&self, span: Span, work: impl Future<Output = ()> + Send + 'static) {
        let aborted = self.abort.given();
        // A future is moved several times until it runs, and some are kilobytes: move a pointer.
        let work = Box::pin(work);
        self.alive.spawn(
            async move {
                // Polling the work first costs nothing while it makes progress.
                tokio::select! {
                    biased;
                    () = work => {}
                    () = aborted => {}
                }
            }
            .instrument(span),
        );
    }

    /// Asks all tasks to end.
    pub fn stop(&self) {
        self.stop.give();
    }

    /// Ends once the tasks are asked to end. Safe to drop.
    pub async fn stopped(&self) {
        self.stop.given().await;
    }

    /// Whether the tasks were asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_given()
    }

    /// Ends all tasks where they stand; what they hold is dropped.
    pub fn abort(&self) {
        self.stop.give();
        self.abort.give();
    }

    /// Asks all tasks to end and waits for it, at most `grace`; then aborts the rest. True when
    /// all ended by themselves. A child waits for its parent's tasks too, so drain the parent.
    /// Dropping it leaves the tasks told to end, and none aborted.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.stop();
        self.alive.close();
        let clean = timeout(grace, self.alive.wait()).await.is_ok();
        if !clean {
            self.abort();
            self.alive.wait().await;
        }
        clean
    }

    /// Ends once no task runs, without asking any to end. Safe to drop.
    pub async fn ended(&self) {
        self.alive.close();
        self.alive.wait().await;
    }

    /// Whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_task_outlives_the_drain() {
        let tasks = Tasks::default();
        let polite = tasks.child();
        tasks.spawn(Span::none(), async move { polite.stopped().await });
        assert!(tasks.drain(Duration::from_secs(1)).await);

        let tasks = Tasks::default();
        tasks.child().spawn(Span::none(), std::future::pending());
        assert!(!tasks.drain(Duration::from_secs(1)).await);
        assert!(tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_apart_is_stopped_but_not_waited_for() {
        let tasks = Tasks::default();
        let apart = tasks.apart();
        apart.spawn(Span::none(), std::future::pending());
        assert!(tasks.drain(Duration::from_secs(1)).await);
        assert!(apart.is_stopped() && !apart.is_empty());
        assert!(!apart.drain(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn a_child_stops_alone_and_with_its_parent() {
        let tasks = Tasks::default();
        let (one, other) = (tasks.child(), tasks.child());
        one.stop();
        assert!(one.is_stopped() && !other.is_stopped() && !tasks.is_stopped());
        tasks.stop();
        assert!(other.is_stopped());
    }
}
