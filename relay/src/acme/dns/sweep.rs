//! Removing what is left behind: by a relay that crashed, or because removing it failed.
//!
//! An order and the removal of an old record never overlap, since there are programs that remove all of a name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::backoff::Backoff;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::sleep;

use super::{Dns, Record};
use crate::store::{StoreError, dns_records};

/// The right of one order to set records, until it is dropped.
pub(in crate::acme) struct Turn {
    ended: Arc<Notify>,
    _order: OwnedMutexGuard<bool>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.ended.notify_one();
    }
}

impl Dns {
    /// Waits until records may be set. The first time it tries to remove what a relay before left behind. Safe
    /// to drop.
    pub(in crate::acme) async fn turn(&self) -> Turn {
        let mut is_tidy = self.is_tidy.clone().lock_owned().await;
        if !*is_tidy {
            for record in self.left().await.unwrap_or_default() {
                self.cleanup(&record).await;
            }
            *is_tidy = true;
        }
        Turn {
            ended: self.ended.clone(),
            _order: is_tidy,
        }
    }

    /// Removes what is left behind, now and after each order, and tries again with back-off what fails. Never
    /// ends. Safe to drop.
    pub(in crate::acme) async fn keep_tidy(&self) {
        let mut backoff = Backoff::new(FIRST, LIMIT);
        loop {
            if self.sweep().await {
                backoff.reset();
                self.ended.notified().await;
            } else {
                sleep(backoff.next_delay().max(LEAST)).await;
            }
        }
    }

    /// Tries once to remove each record that is left; orders have their turn in between. True when none is left.
    async fn sweep(&self) -> bool {
        let mut tried = BTreeSet::new();
        loop {
            let _turn = self.is_tidy.lock().await;
            let Ok(left) = self.left().await else {
                return false;
            };
            let Some(record) = left.iter().find(|record| !tried.contains(*record)) else {
                return left.is_empty();
            };
            self.cleanup(record).await;
            tried.insert(record.clone());
        }
    }

    async fn left(&self) -> Result<Vec<Record>, StoreError> {
        let left = self.store.call(|db| dns_records::all(db)).await;
        let left = left.inspect_err(|error| {
            tracing::warn!(%error, "cannot see which DNS records were left behind");
        })?;
        let record = |(name, value)| Record { name, value };
        Ok(left.into_iter().map(record).collect())
    }
}

/// How long to wait until what could not be removed is tried again: at first, doubled from then on, and at most.
const LEAST: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(60 * 60);

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Way;
    use super::*;
    use crate::store::Store;
    use crate::store::directory::Scratch;

    /// A hook that notes how it was called. It fails to remove anything until there is a file `mended`.
    fn dns(dir: &Scratch) -> Dns {
        let path = dir.path().join("hook");
        let text = format!(
            "#!/bin/sh -e\ncd {}\necho $1 $3 >> calls\ntest $1 = present -o -e mended\n",
            dir.path().display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Dns {
            way: Way::Hook(path),
            store: Store::open_in_memory().unwrap(),
            wait: Duration::ZERO,
            is_tidy: Arc::default(),
            ended: Arc::default(),
        }
    }

    fn record(value: &str) -> Record {
        Record::of_challenge("example.com", value.into())
    }

    async fn order(dns: &Dns, value: &str) {
        let _turn = dns.turn().await;
        dns.present(&record(value)).await.unwrap();
        dns.cleanup(&record(value)).await;
    }

    fn calls(dir: &Scratch) -> Vec<String> {
        let text = std::fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets it remove what is left until the condition holds. Says how long that took.
    async fn tidied(dns: &Dns, mut condition: impl AsyncFnMut() -> bool) -> Duration {
        let start = tokio::time::Instant::now();
        let look = async {
            while !condition().await {
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = dns.keep_tidy() => {}
            () = look => {}
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_removed_is_tried_again_ever_more_seldom_until_it_is_gone() {
        let dir = Scratch::new();
        let dns = dns(&dir);
        order(&dns, "one").await;
        assert_eq!(calls(&dir), ["present one", "cleanup one"]);
        let took = tidied(&dns, async || calls(&dir).len() == 12).await;
        // At once, and after 5, 20, 40, ... 2560 s, or half of those.
        assert!(took > Duration::from_secs(40 * 60), "{took:?}");
        std::fs::write(dir.path().join("mended"), "").unwrap();
        tidied(&dns, async || dns.left().await.unwrap().is_empty()).await;
        assert!(calls(&dir)[1..].iter().all(|call| call == "cleanup one"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_removed_while_an_order_has_records_set() {
        let dir = Scratch::new();
        let dns = dns(&dir);
        order(&dns, "old").await;
        let during = async {
            let _turn = dns.turn().await;
            dns.present(&record("new")).await.unwrap();
            let before = calls(&dir);
            sleep(Duration::from_secs(60 * 60)).await;
            assert_eq!(calls(&dir), before);
        };
        tokio::select! {
            () = dns.keep_tidy() => {}
            () = during => {}
        }
        std::fs::write(dir.path().join("mended"), "").unwrap();
        // The order was abandoned, so that its record was left too.
        tidied(&dns, async || dns.left().await.unwrap().is_empty()).await;
        let calls = calls(&dir);
        assert!(calls.contains(&"cleanup new".into()), "{calls:#?}");
    }
}
