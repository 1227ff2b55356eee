//! The one task that decides which certificates are ordered, and when.

mod job;
mod recall;
mod suggest;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use adit_shared::name::Host;
use adit_shared::task::Tasks;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{Span, info, warn};

use self::job::{Has, Job, Suggestion};
use super::certificate::Certificate;
use super::challenge::Kind;
use super::dns::Dns;
use super::lead::Lead;
use super::order::Orders;
use super::timing::Cause;
use super::{Acme, AcmeError, WAITING, Wanted, account, timing};
use crate::config::{Acme as Config, Config as Relay};
use crate::edge::tls::issued::{Issued, wildcard};
use crate::route::Routes;
use crate::store::seal::Seal;
use crate::store::{Store, certificates, now, orders, quota};

/// Orders and renews, until its tasks are stopped.
pub(crate) struct Keeper {
    orders: std::sync::Arc<Orders>,
    /// What the relay's own certificate is called.
    own: String,
    domain: Host,
    routes: Routes,
    jobs: HashMap<String, Job>,
    /// No order is begun before this.
    paused_until: i64,
    wanted: mpsc::Receiver<Wanted>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    tasks: Tasks,
}

/// What came of something that was begun.
enum News {
    Ordered(String, Result<Box<Certificate>, AcmeError>),
    /// About the certificate with this leaf.
    Suggested(
        String,
        CertificateDer<'static>,
        Result<Option<Suggestion>, AcmeError>,
    ),
}

impl Keeper {
    /// Reads what was issued before, and shows it. [`run`](Self::run) does the rest.
    ///
    /// # Errors
    ///
    /// [`AcmeError`] when the state or the configured files cannot be used; the authority is not
    /// asked anything yet.
    pub(crate) async fn start(
        relay: &Relay,
        config: &Config,
        store: &Store,
        issued: &std::sync::Arc<Issued>,
        routes: &Routes,
        tasks: &Tasks,
    ) -> Result<(Self, Acme), AcmeError> {
        let (say, wanted) = mpsc::channel(WAITING);
        let mut kinds = Vec::new();
        if relay.https.is_some() {
            kinds.push(Kind::TlsAlpn);
        }
        if relay.https.is_some() && relay.http.is_some() {
            kinds.push(Kind::Http);
        }
        let listens: Vec<_> = [relay.http, relay.https].into_iter().flatten().collect();
        let orders = Orders {
            client: account::client(config)?,
            dns: Dns::of(config, store)?,
            lead: Lead::new(&relay.domain, config.resolver, &listens),
            config: config.clone(),
            store: store.clone(),
            seal: Seal::of(&relay.state_dir)?,
            issued: issued.clone(),
            kinds,
            account: Mutex::default(),
        };
        let own = match &config.dns {
            Some(_) => wildcard(&relay.domain),
            None => relay.domain.to_string(),
        };
        let acme = Acme {
            wanted: say,
            issued: issued.clone(),
            wildcard: config.dns.is_some().then(|| relay.domain.clone()),
        };
        let mut keeper = Self {
            orders: std::sync::Arc::new(orders),
            own,
            domain: relay.domain.clone(),
            routes: routes.clone(),
            jobs: HashMap::new(),
            paused_until: 0,
            wanted,
            news: mpsc::channel(WAITING),
            tasks: tasks.clone(),
        };
        keeper.recall().await?;
        Ok((keeper, acme))
    }

    /// Orders and renews until the tasks are stopped.
    pub(crate) async fn run(mut self) {
        if let Some(dns) = self.orders.dns.clone() {
            let tasks = self.tasks.clone();
            self.tasks.spawn(Span::current(), async move {
                tokio::select! {
                    biased;
                    () = tasks.stopped() => {}
                    () = dns.keep_tidy() => {}
                }
            });
        }
        let tasks = self.tasks.clone();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = tasks.stopped() => return,
                Some(news) = self.news.1.recv() => match news {
                    News::Ordered(name, result) => self.ordered(&name, result).await,
                    News::Suggested(name, leaf, result) => self.suggested(&name, &leaf, result),
                },
                Some(wanted) = self.wanted.recv() => {
                    self.want(wanted).await;
                    self.begin().await;
                }
                _ = ticks.tick() => {
                    self.drop_revoked().await;
                    self.begin().await;
                }
            }
        }
    }

    /// Has a first certificate ordered for a host that was just claimed, or lets go of the handshakes that wait
    /// for one.
    async fn want(&mut self, wanted: Wanted) {
        let name = wanted.host.to_string();
        if !self.plan(&name, wanted).await {
            self.orders.issued.stop_waiting(&name);
        }
    }

    /// Plans an order if there may be one. False when no first certificate is on its way.
    async fn plan(&mut self, name: &str, Wanted { host, account }: Wanted) -> bool {
        if self.orders.issued.covers(name) {
            return false;
        }
        if let Some(job) = self.jobs.get(name) {
            // It failed a while ago, and may not be ordered yet; or it is under way.
            return job.is_busy || job.due <= now();
        }
        if self.jobs.len() >= JOBS {
            warn!(%host, "no certificate is ordered: there are too many already");
            return false;
        }
        let (whose, day) = (account.clone(), now() / DAY);
        let taken = self
            .orders
            .store
            .call(move |db| quota::take(db, &whose, day, EACH, ACCOUNTS));
        let may_order = taken.await.unwrap_or_else(|error| {
            warn!(%error, "cannot note what an account has ordered");
            false
        });
        if may_order {
            self.jobs.insert(name.to_owned(), Job::default());
        } else {
            warn!(
                %host, account, most = EACH,
                "no certificate is ordered: this account has had too many today; a wildcard \
                 certificate (--acme-dns-hook) needs none for each name"
            );
        }
        may_order
    }

    /// Begins what is due.
    async fn begin(&mut self) {
        let now = now();
        let due = |job: &Job| !job.is_busy && job.due <= now;
        let asks = |job: &Job| !job.is_busy && job.has.as_ref().is_some_and(|h| h.ask_at <= now);
        let busy = self.jobs.values().filter(|job| job.is_busy).count();
        let found = self.jobs.iter().filter(|(_, job)| due(job) || asks(job));
        let mut found: Vec<_> = found.map(|(name, _)| name.clone()).collect();
        // The relay's own comes first.
        found.sort_by_key(|name| *name != self.own);
        found.truncate(AT_ONCE.saturating_sub(busy));
        for name in found {
            if !self.is_wanted(&name) {
                self.leave(&name).await;
            } else if self.jobs.get(&name).is_some_and(due) {
                if self.paused_until <= now {
                    self.order(&name).await;
                }
            } else {
                self.ask(&name);
            }
        }
    }

    /// Whether anybody still has the host.
    fn is_wanted(&self, name: &str) -> bool {
        if name == self.own {
            return true;
        }
        let has_wildcard = self.own.starts_with("*.");
        let host = name.parse::<Host>().ok();
        let host = host.filter(|host| !has_wildcard || host.label_under(&self.domain).is_none());
        host.is_some_and(|host| self.routes.find(&host).is_some())
    }

    /// Lets a certificate end that nobody needs.
    async fn leave(&mut self, name: &str) {
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        let is_valid = |has: &Has| has.until > SystemTime::now();
        if let Some(has) = job.has.as_mut().filter(|has| is_valid(has)) {
            // It may be claimed again.
            let later = now() + whole(timing::ask_again(None));
            job.due = later;
            has.ask_at = later;
            return;
        }
        self.jobs.remove(name);
        self.orders.issued.stop_waiting(name);
        self.orders.issued.remove(name);
        let gone = name.to_owned();
        let forgotten = self.orders.store.call(move |db| {
            orders::remove(db, &gone)?;
            certificates::remove(db, &gone)
        });
        if let Err(error) = forgotten.await {
            warn!(name, %error, "cannot forget a certificate");
        }
    }

    async fn order(&mut self, name: &str) {
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        job.is_busy = true;
        let failures = job.failures;
        let has = job.has.as_ref();
        let old = has.filter(|has| has.is_suggested).map(|h| h.leaf.clone());
        job.interrupted = job.interrupted.saturating_add(1);
        // Should the relay end now, the next one knows that this was tried.
        let record = orders::Record {
            name: name.to_owned(),
            failures,
            interrupted: job.interrupted,
            retry_at: now(),
            error: String::new(),
        };
        if let Err(error) = self.note(record).await {
            warn!(name, %error, "cannot note an order");
        }
        let names = match name.starts_with("*.") {
            true => vec![self.domain.to_string(), name.to_owned()],
            false => vec![name.to_owned()],
        };
        let (orders, say, name) = (self.orders.clone(), self.news.0.clone(), name.to_owned());
        let tasks = self.tasks.clone();
        self.tasks.spawn(Span::current(), async move {
            let work = orders.obtain(&name, &names, failures, old.as_ref());
            let result = tokio::select! {
                biased;
                () = tasks.stopped() => return,
                result = work => result,
            };
            // It fails when the keeper is gone, and then nobody wants it.
            drop(say.send(News::Ordered(name, result.map(Box::new))).await);
        });
    }

    async fn ordered(&mut self, name: &str, result: Result<Box<Certificate>, AcmeError>) {
        let error = match result {
            Ok(certificate) => {
                let until = jiff::Timestamp::try_from(certificate.until);
                let until = until.map_or_else(|_| String::new(), |until| until.to_string());
                let shown = self.show(name, *certificate);
                match shown {
                    Ok(()) => {
                        info!(name, until, "certificate issued");
                        let gone = name.to_owned();
                        let noted = self.orders.store.call(move |db| orders::remove(db, &gone));
                        if let Err(error) = noted.await {
                            warn!(name, %error, "cannot note that an order is done");
                        }
                        return;
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        self.failed(name, &error).await;
        match error.cause() {
            Cause::Refused | Cause::Unreached => self.orders.issued.failures.inc(),
            Cause::Astray => self.orders.issued.astray.inc(),
        }
    }

    async fn failed(&mut self, name: &str, error: &AcmeError) {
        let cause = error.cause();
        self.orders.issued.stop_waiting(name);
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        let failures = job.failed(cause);
        let mut wait = timing::retry(failures, cause);
        if error.is_rate_limit() {
            self.paused_until = now() + whole(PAUSE);
            wait = wait.max(self.orders.client.quiet().unwrap_or(LIMITED));
        }
        job.wait_until(now() + whole(wait));
        let chain = adit_shared::checkup::chain(error);
        warn!(
            name,
            failures,
            retry_in = whole(wait),
            error = chain,
            hint = error.hint(),
            "no certificate"
        );
        let record = orders::Record {
            name: name.to_owned(),
            failures: job.failures,
            interrupted: 0,
            retry_at: job.due,
            error: chain,
        };
        if let Err(error) = self.note(record).await {
            warn!(name, %error, "cannot note that an order failed");
        }
    }

    async fn note(&self, record: orders::Record) -> Result<(), AcmeError> {
        let noted = self.orders.store.call(move |db| orders::put(db, &record));
        Ok(noted.await?)
    }

    /// Shows no more what `relay certificate revoke` had revoked.
    async fn drop_revoked(&mut self) {
        let revoked = self.orders.store.call(|db| certificates::revoked(db));
        let revoked = match revoked.await {
            Ok(revoked) => revoked,
            Err(error) => return warn!(%error, "cannot see which certificates were revoked"),
        };
        for name in revoked {
            if let Some(job) = self.jobs.get_mut(&name).filter(|job| job.has.is_some()) {
                warn!(name, "certificate was revoked");
                job.has = None;
                job.due = 0;
                self.orders.issued.remove(&name);
                self.orders.issued.wait_for(&name);
            }
        }
    }
}

/// In seconds, as records have it.
fn whole(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 4)
}

/// New names of one account in a day: authorities count what a relay orders, and one account, which is a
/// token, or an identity where there are no tokens, must not use up what all share. Whoever wants more
/// wants a wildcard.
const EACH: u32 = 20;
/// Accounts that may order on one day.
const ACCOUNTS: usize = 4096;
const DAY: i64 = 24 * 60 * 60;
/// How often to look what is due.
const TICK: Duration = Duration::from_secs(1);
/// Orders that are under way at once.
const AT_ONCE: usize = 4;
/// Names that are kept an eye on.
const JOBS: usize = 10_000;
/// How long no order is begun after the authority said that there were too many. Most limits are for
/// one name, so others need not wait for long.
const PAUSE: Duration = Duration::from_secs(60);
/// How long the order waits that it said so about, when it did not say how long.
const LIMITED: Duration = Duration::from_secs(60 * 60);
/// After this many seconds a failure says nothing any more, and a certificate that ended is of no use.
const FORGET: i64 = 7 * 24 * 60 * 60;
