//! What was issued before: shown again when the relay starts, and what failed is not forgotten.

use tracing::warn;

use super::{FORGET, Job, Keeper, whole};
use crate::acme::certificate::Certificate;
use crate::acme::{AcmeError, timing};
use crate::store::{certificates, now, orders};

impl Keeper {
    /// Shows what is in the database and still good.
    pub(super) async fn recall(&mut self) -> Result<(), AcmeError> {
        let read = |db: &mut rusqlite::Connection| {
            let long_ago = now() - FORGET;
            orders::purge(db, long_ago)?;
            certificates::purge(db, long_ago)?;
            Ok((certificates::all(db)?, orders::all(db)?))
        };
        let (records, unfinished) = self.orders.store.call(read).await?;
        for record in records {
            if record.revoked_at.is_some() || record.not_after <= now() {
                continue;
            }
            match self.orders.open(&record) {
                Ok(certificate) => {
                    let is_elsewhere = record.directory != self.orders.config.directory;
                    self.show(&record.name, certificate)?;
                    if let (true, Some(job)) = (is_elsewhere, self.jobs.get_mut(&record.name)) {
                        // Issued for trying, or by an authority that was given up.
                        job.due = 0;
                        job.has = None;
                    }
                }
                Err(error) => {
                    warn!(name = record.name, %error, "a certificate cannot be opened; a new one is ordered");
                }
            }
        }
        for record in unfinished {
            let job = self.jobs.entry(record.name).or_default();
            job.failures = record.failures;
            job.interrupted = record.interrupted;
            let wait = timing::after_interruptions(record.interrupted);
            job.wait_until(record.retry_at + whole(wait));
        }
        self.jobs.entry(self.own.clone()).or_default();
        let waits = |job: &Job| job.due <= now();
        if self.jobs.get(&self.own).is_some_and(waits) {
            self.orders.issued.wait_for(&self.own);
        }
        Ok(())
    }

    /// Shows a certificate, and plans when it is renewed.
    pub(super) fn show(&mut self, name: &str, certificate: Certificate) -> Result<(), AcmeError> {
        let job = Job::with(&certificate);
        let Certificate {
            chain, key, until, ..
        } = certificate;
        self.orders.issued.install(name, chain, key, until)?;
        self.jobs.insert(name.to_owned(), job);
        Ok(())
    }
}
