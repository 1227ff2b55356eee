//! Authorities may suggest when to renew (ARI, RFC 9773), such as early when they will have to revoke.

use rustls::pki_types::CertificateDer;
use tracing::Span;

use super::job::Suggestion;
use super::{Job, Keeper, News};
use crate::acme::AcmeError;
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
            drop(say.send(News::Suggested(name, leaf, result)).await);
        });
    }

    pub(super) fn suggested(
        &mut self,
        name: &str,
        leaf: &CertificateDer<'_>,
        result: Result<Option<Suggestion>, AcmeError>,
    ) {
        if let Err(error) = &result {
            tracing::debug!(name, %error, "no suggestion when to renew");
        }
        if let Some(job) = self.jobs.get_mut(name) {
            job.suggested(leaf, result.ok(), now());
        }
    }
}
