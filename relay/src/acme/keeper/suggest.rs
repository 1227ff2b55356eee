//! Authorities may suggest when to renew (ARI, RFC 9773), such as early when they will have to revoke.

use std::time::{Duration, SystemTime};

use tracing::Span;

use super::{Job, Keeper, News, whole};
use crate::acme::certificate::seconds;
use crate::acme::{AcmeError, timing};
use crate::store::now;

impl Keeper {
    /// Asks whether a certificate should be renewed early.
    pub(super) fn ask(&mut self, name: &str) {
        let Some(Job { has: Some(has), .. }) = self.jobs.get_mut(name) else {
            return;
        };
        has.ask_at = i64::MAX;
        let (orders, say, name) = (self.orders.clone(), self.news.0.clone(), name.to_owned());
        let (leaf, tasks) = (has.leaf.clone(), self.tasks.clone());
        self.tasks.spawn(Span::current(), async move {
            let result = tokio::select! {
                biased;
                () = tasks.stopped() => return,
                result = orders.suggestion(&leaf) => result,
            };
            drop(say.send(News::Suggested(name, result)).await);
        });
    }

    pub(super) fn suggested(
        &mut self,
        name: &str,
        result: Result<Option<(SystemTime, SystemTime, Duration)>, AcmeError>,
    ) {
        let Some(Job {
            due,
            has: Some(has),
            ..
        }) = self.jobs.get_mut(name)
        else {
            return;
        };
        let again = match result {
            Ok(Some((start, end, again))) => {
                let at = timing::suggested((start, end), (has.since, has.until));
                *due = seconds(at);
                has.is_suggested = true;
                timing::ask_again(Some(again))
            }
            // It may learn to.
            Ok(None) => timing::ask_again(Some(Duration::MAX)),
            Err(error) => {
                tracing::debug!(name, %error, "no suggestion when to renew");
                timing::ask_again(None)
            }
        };
        has.ask_at = now() + whole(again);
    }
}
