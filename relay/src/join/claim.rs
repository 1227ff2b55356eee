//! What a session asks to serve, and what it gets.

use std::mem;
use std::sync::Arc;

use adit_shared::name::{Host, Name};
use adit_shared::wire::control::{Claim as Asked, Granted, MAX_TEXT, Message, Refusal, Refused};
use adit_shared::wire::inbox::{Inbox, InboxState};
use adit_shared::wire::mirror::Mirror;
use tracing::Span;

use super::{Join, Site};
use crate::auth::Grant;
use crate::mirror::Mirroring;
use crate::queue::database::State;
use crate::queue::deliver::Courier;
use crate::route::{Claim, Who, derive, reserved};
use crate::session::Session;
use crate::store::{names, now};

/// The claims of one session. They end when it is dropped.
pub(super) struct Claims<'a> {
    join: &'a Join,
    session: &'a Arc<Session>,
    grant: Grant,
    claims: Vec<Claim>,
    mirrors: Vec<Mirroring>,
    /// What was said about claims that are still to come.
    wishes: Vec<Inbox>,
    has_returned: bool,
}

impl<'a> Claims<'a> {
    pub(super) fn new(join: &'a Join, session: &'a Arc<Session>, grant: Grant) -> Self {
        Self {
            join,
            session,
            grant,
            claims: Vec::new(),
            mirrors: Vec::new(),
            wishes: Vec::new(),
            has_returned: false,
        }
    }

    /// Notes what a claim that follows wants of an inbox.
    pub(super) fn wish(&mut self, wish: Inbox) {
        // One for a claim that never comes is forgotten for another.
        if self.wishes.len() >= self.join.limits.tunnels {
            self.wishes.remove(0);
        }
        self.wishes.push(wish);
    }

    /// Answers one claim, and before that its wish for an inbox. Not safe to drop.
    pub(super) async fn claim(&mut self, asked: Asked) -> (Option<InboxState>, Message) {
        let tunnel = asked.tunnel;
        let wish = self.wishes.iter().position(|wish| wish.tunnel == tunnel);
        let wish = wish.map(|at| self.wishes.remove(at));
        let mut state = None;
        let answer = match self.resolve(&asked) {
            Ok(claim) => {
                let host = claim.host().clone();
                tracing::info!(%host, "claim granted");
                self.remember(&host).await;
                self.trim().await;
                if let Err(error) = self.join.certificates.issue(&host) {
                    tracing::warn!(%host, %error, "cannot make a certificate");
                }
                if let Some(acme) = &self.join.acme {
                    let token = self.session.token.map(|token| token.to_string());
                    let account = token.unwrap_or_else(|| self.session.owner.to_string());
                    acme.want(&host, account);
                }
                if claim.returned && !mem::replace(&mut self.has_returned, true) {
                    self.join.metrics.reconnects.inc();
                }
                state = self.open_inbox(&claim, tunnel, wish).await;
                self.claims.push(claim);
                Message::Granted(Granted {
                    tunnel,
                    urls: self.join.site.urls(&host),
                })
            }
            Err((reason, message)) => {
                tracing::info!(reason = reason.word(), why = message, "claim refused");
                Message::Refused(Refused {
                    tunnel,
                    reason,
                    message: shorten(message),
                })
            }
        };
        (state, answer)
    }

    /// Answers the wish for copies of what another agent serves.
    pub(super) fn mirror(&mut self, asked: &Mirror) -> Message {
        let tunnel = asked.tunnel;
        match self.mirrored(asked) {
            Ok(mirroring) => {
                let host = mirroring.host().clone();
                tracing::info!(%host, "mirror granted");
                self.mirrors.push(mirroring);
                Message::Granted(Granted {
                    tunnel,
                    urls: self.join.site.urls(&host),
                })
            }
            Err((reason, message)) => {
                tracing::info!(reason = reason.word(), why = message, "mirror refused");
                Message::Refused(Refused {
                    tunnel,
                    reason,
                    message: shorten(message),
                })
            }
        }
    }

    fn mirrored(&self, asked: &Mirror) -> Result<Mirroring, (Refusal, String)> {
        self.has_room()?;
        let host = match (asked.name.is_empty(), asked.host.is_empty()) {
            (false, _) => self.name(&asked.name)?,
            (true, false) => self.own_host(&asked.host)?,
            (true, true) => {
                let why = "a mirror names what it wants copies of, with --subdomain or --hostname";
                return Err((Refusal::Invalid, why.into()));
            }
        };
        let patterns = asked.patterns.iter().map(|text| text.parse());
        let patterns = patterns.collect::<Result<Vec<_>, _>>();
        let patterns = patterns.map_err(|_| {
            let why = "a pattern of the mirror is none";
            (Refusal::Invalid, why.to_owned())
        })?;
        let route = self.join.routes.mirror(&host, self.session).map_err(|_| {
            let why = "belongs to another agent: only those with its token can mirror it";
            (Refusal::Taken, format!("{host} {why}"))
        })?;
        let (join, session) = (self.join, self.session);
        let added = join.mirrors.add(
            route,
            session,
            asked.tunnel,
            patterns,
            (&join.metrics, &join.tasks),
        );
        added.map_err(|error| (Refusal::Full, format!("{host}: {error}")))
    }

    fn has_room(&self) -> Result<(), (Refusal, String)> {
        let most = self.join.limits.tunnels;
        if self.claims.len() + self.mirrors.len() < most {
            return Ok(());
        }
        self.join.metrics.limited("tunnels-per-agent");
        Err((
            Refusal::Full,
            format!("one agent serves at most {most} tunnels here"),
        ))
    }

    /// Opens the inbox that the agent wants, and begins to deliver what is in it.
    async fn open_inbox(
        &self,
        claim: &Claim,
        tunnel: u64,
        wish: Option<Inbox>,
    ) -> Option<InboxState> {
        let (host, session) = (claim.host(), self.session);
        let inboxes = &self.join.inboxes;
        let opened = inboxes
            .claim(host, session.owner, session.token, wish.as_ref())
            .await;
        let tray = opened.as_ref().ok().and_then(Option::as_ref);
        if let Some(tray) = tray {
            let courier = Courier {
                inboxes: inboxes.clone(),
                tray: tray.clone(),
                route: claim.route().clone(),
                session: session.clone(),
                tunnel,
                tasks: self.join.tasks.clone(),
            };
            self.join.tasks.spawn(Span::current(), courier.run());
        }
        let is_wanted = wish.is_some();
        let state = InboxState {
            tunnel,
            open: is_wanted && tray.is_some(),
            waiting: tray.map_or(0, |tray| tray.total() - tray.count(State::Dead)),
            dead: tray.map_or(0, |tray| tray.count(State::Dead)),
            message: opened.err().unwrap_or_default().to_owned(),
        };
        if is_wanted {
            tracing::info!(%host, open = state.open, waiting = state.waiting, "inbox");
        }
        is_wanted.then_some(state)
    }

    /// Nobody fills the relay with names.
    async fn trim(&self) {
        let forgotten = self.join.routes.trim(self.session);
        if forgotten.is_empty() {
            return;
        }
        for host in &forgotten {
            tracing::info!(%host, "forgotten: its owner has newer ones");
            self.join.certificates.forget(host);
        }
        if let Err(error) = self
            .join
            .store
            .call(move |db| names::remove(db, &forgotten))
            .await
        {
            // A restart would remember them once more.
            tracing::warn!(%error, "cannot forget names");
        }
    }

    fn resolve(&self, asked: &Asked) -> Result<Claim, (Refusal, String)> {
        self.has_room()?;
        if !asked.host.is_empty() {
            let host = self.own_host(&asked.host)?;
            return self.take(&host, asked.tunnel, Who::Group);
        }
        if !asked.name.is_empty() {
            let host = self.name(&asked.name)?;
            return self.take(&host, asked.tunnel, Who::Group);
        }
        let mut refusal = None;
        for name in derive::candidates(&self.session.owner, &asked.label) {
            let host = self.name(name.as_str());
            match host.and_then(|host| self.take(&host, asked.tunnel, Who::Identity)) {
                Ok(claim) => return Ok(claim),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        // A token that covers certain names only is told so, rather than about a derived name.
        Err(match refusal {
            Some((Refusal::NotAllowed, _)) => (
                Refusal::NotAllowed,
                format!(
                    "the token covers only {}; ask for one of these with --subdomain",
                    self.patterns()
                ),
            ),
            Some(refusal) => refusal,
            None => (
                Refusal::Other,
                "no name could be derived; ask for one with --subdomain".into(),
            ),
        })
    }

    /// The host of a name that may be asked for.
    fn name(&self, text: &str) -> Result<Host, (Refusal, String)> {
        let invalid = |why: String| (Refusal::Invalid, why);
        let name: Name = text
            .parse()
            .map_err(|error| invalid(format!("{}: {error}", text.escape_debug())))?;
        reserved::check(name.as_str()).map_err(|why| {
            let message = format!("{name} {why}; choose another --subdomain");
            (Refusal::Reserved, message)
        })?;
        self.allowed(name.as_str())?;
        let host = name.under(&self.join.site.domain);
        host.map_err(|error| invalid(format!("{name}: {error}")))
    }

    /// An own domain that may be asked for.
    fn own_host(&self, text: &str) -> Result<Host, (Refusal, String)> {
        let domain = &self.join.site.domain;
        let invalid = |error| {
            let text = text.escape_debug();
            (Refusal::Invalid, format!("{text}: {error}"))
        };
        let host: Host = text.parse().map_err(invalid)?;
        if host == *domain {
            return Err((Refusal::Reserved, format!("{host} is the relay itself")));
        }
        // A host under the relay's domain is a name, with the rules of names.
        if let Some(label) = host.label_under(domain) {
            return self.name(label);
        }
        self.allowed(host.as_str())?;
        Ok(host)
    }

    fn allowed(&self, name: &str) -> Result<(), (Refusal, String)> {
        if self.grant.allows(name) {
            return Ok(());
        }
        let patterns = self.patterns();
        Err((
            Refusal::NotAllowed,
            format!("the token does not cover {name}, only {patterns}"),
        ))
    }

    fn take(&self, host: &Host, tunnel: u64, who: Who) -> Result<Claim, (Refusal, String)> {
        self.join
            .routes
            .claim(host, self.session, tunnel, who)
            .map_err(|_| {
                (
                    Refusal::Taken,
                    format!("{host} belongs to another agent; choose another --subdomain"),
                )
            })
    }

    fn patterns(&self) -> String {
        let names: Vec<_> = self.grant.names.iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    /// The agent goes of its own will: its hosts are free at once.
    pub(super) fn give_back(&mut self) {
        self.mirrors.clear();
        for claim in &self.claims {
            claim.give_back();
        }
    }

    /// Frees the hosts and notes when they were last served. Not safe to drop.
    pub(super) async fn end(mut self) {
        let hosts: Vec<_> = self
            .claims
            .iter()
            .map(|claim| claim.host().clone())
            .collect();
        // Requests must not go on to a session that is gone while the disk is waited for.
        self.claims.clear();
        self.mirrors.clear();
        for host in hosts {
            self.remember(&host).await;
        }
    }

    async fn remember(&self, host: &Host) {
        let record = names::Record {
            host: host.clone(),
            owner: self.session.owner,
            token: self.session.token.map(|token| token.to_string()),
            last_seen: now(),
        };
        if let Err(error) = self
            .join
            .store
            .call(move |db| names::put(db, &record))
            .await
        {
            // The claim holds while the program runs; only a restart would forget it.
            tracing::warn!(%host, %error, "cannot remember who owns a host");
        }
    }
}

/// Cuts a sentence that would not fit into a message, such as one about a token with many patterns.
fn shorten(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let room = MAX_TEXT - ELLIPSIS.len();
        let end = (0..=room).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push_str(ELLIPSIS);
    }
    text
}

const ELLIPSIS: &str = "…";

impl Site {
    /// The URLs of a host, the one to show first.
    pub fn urls(&self, host: &Host) -> Vec<String> {
        let url = |scheme: &str, usual: u16, port: u16| match port {
            port if port == usual => format!("{scheme}://{host}"),
            port => format!("{scheme}://{host}:{port}"),
        };
        let http = self.http.map(|port| url("http", 80, port));
        let https = self.https.map(|port| url("https", 443, port));
        let (first, second) = if self.prefer_http {
            (http, https)
        } else {
            (https, http)
        };
        first.into_iter().chain(second).collect()
    }
}
