//! Who sends the requests of one connection.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use adit_shared::name::Host;
use http::header::HeaderValue;

use super::ForwardError;
use super::body::Access;
use super::headers::Authority;
use super::introduction::Introduction;
use crate::addresses::Asker;
use crate::route::{Route, Routes};

/// Who sends the requests of one connection, and how.
#[derive(Debug)]
pub struct Visitor {
    /// Where from.
    pub remote: SocketAddr,
    /// Whether over TLS.
    pub https: bool,
    /// The name that it asked for in the TLS handshake.
    pub server_name: Option<Host>,
    /// What its requests are counted on.
    pub(super) asker: Asker,
    first: OnceLock<Arc<Destination>>,
}

/// What a visitor asked for by naming a host.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) authority: HeaderValue,
    pub(super) route: Arc<Route>,
    pub(super) introduction: Introduction,
}

impl Visitor {
    /// A visitor who has asked for nothing yet.
    pub fn new(remote: SocketAddr, https: bool, server_name: Option<Host>, asker: Asker) -> Self {
        Self {
            remote,
            https,
            server_name,
            asker,
            first: OnceLock::new(),
        }
    }

    /// What is there for `authority`; the log is told its host. Nearly all connections ask for one host
    /// alone, so what the first request asked for is remembered: looking it up in the table writes to
    /// memory that all shards share.
    pub(super) fn destination(
        &self,
        authority: Authority<'_>,
        routes: &Routes,
        access: &mut Access,
    ) -> Result<Arc<Destination>, ForwardError> {
        let is_it = |first: &&Arc<Destination>| {
            authority.is(&first.authority) && !first.route.is_forgotten()
        };
        if let Some(first) = self.first.get().filter(is_it) {
            access.host(&first.route.host);
            return Ok(first.clone());
        }
        let host = authority.host()?;
        access.host(&host);
        if self.server_name.as_ref().is_some_and(|name| *name != host) {
            return Err(ForwardError::Misdirected);
        }
        let route = routes.find(&host).ok_or(ForwardError::Unknown)?;
        let authority = authority.value()?;
        let destination = Arc::new(Destination {
            introduction: Introduction::new(self.remote.ip(), self.https, &authority),
            authority,
            route,
        });
        // Nothing happens when it is not the first.
        let _ = self.first.set(destination.clone());
        Ok(destination)
    }
}
