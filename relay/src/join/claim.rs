//! What a session asks to serve, and what it gets.

use std::sync::Arc;

use adit_shared::name::{Host, Name};
use adit_shared::wire::control::{Claim as Asked, Granted, MAX_TEXT, Message, Refusal, Refused};

use super::{Join, Site};
use crate::auth::Grant;
use crate::route::{Claim, Who, derive, reserved};
use crate::session::Session;
use crate::store::{names, now};

/// The claims of one session. They end when it is dropped.
pub(super) struct Claims<'a> {
    join: &'a Join,
    session: &'a Arc<Session>,
    grant: Grant,
    claims: Vec<Claim>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(join: &'a Join, session: &'a Arc<Session>, grant: Grant) -> Self {
        Self {
            join,
            session,
            grant,
            claims: Vec::new(),
        }
    }

    /// Answers one claim. Not safe to drop.
    pub(super) async fn claim(&mut self, asked: Asked) -> Message {
        let tunnel = asked.tunnel;
        match self.resolve(&asked) {
            Ok(claim) => {
                let host = claim.host().clone();
                tracing::info!(%host, "claim granted");
                self.remember(&host).await;
                self.trim().await;
                if let Err(error) = self.join.certificates.issue(&host) {
                    tracing::warn!(%host, %error, "cannot make a certificate");
                }
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
        }
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
        if self.claims.len() >= self.join.limits.tunnels {
            let most = self.join.limits.tunnels;
            return Err((
                Refusal::Full,
                format!("one agent serves at most {most} tunnels here"),
            ));
        }
        if !asked.host.is_empty() {
            return self.own_host(&asked.host, asked.tunnel);
        }
        if !asked.name.is_empty() {
            return self.name(&asked.name, asked.tunnel, Who::Group);
        }
        let mut refusal = None;
        for name in derive::candidates(&self.session.owner, &asked.label) {
            match self.name(name.as_str(), asked.tunnel, Who::Identity) {
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

    fn name(&self, text: &str, tunnel: u64, who: Who) -> Result<Claim, (Refusal, String)> {
        let invalid = |why: String| (Refusal::Invalid, why);
        let name: Name = text
            .parse()
            .map_err(|error| invalid(format!("{}: {error}", text.escape_debug())))?;
        if reserved::is_reserved(name.as_str()) {
            return Err((
                Refusal::Reserved,
                format!("{name} is reserved; choose another --subdomain"),
            ));
        }
        self.allowed(name.as_str())?;
        let host = name.under(&self.join.site.domain);
        self.take(
            &host.map_err(|error| invalid(format!("{name}: {error}")))?,
            tunnel,
            who,
        )
    }

    fn own_host(&self, text: &str, tunnel: u64) -> Result<Claim, (Refusal, String)> {
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
            return self.name(label, tunnel, Who::Group);
        }
        self.allowed(host.as_str())?;
        self.take(&host, tunnel, Who::Group)
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
