//! What the agent shall do, complete and valid.
//!
//! [`Given`] is what was typed, wherever it was typed; [`Given::config`] is the one place that
//! makes a [`Config`] of it. No file is read that was not named.
//!
//! - [`origin`]: what a tunnel forwards to;
//! - [`inbox`]: what the relay shall keep of it;
//! - [`relay`]: which relay, and how it is trusted by default;
//! - [`transport`], [`proxy`]: in what QUIC may travel, and through which proxy;
//! - [`inspect`]: how much the inspector keeps;
//! - [`token`]: the secret;
//! - [`webhooks`]: which webhooks must be genuine;
//! - `file`, [`given`], `resolve`: from text to a [`Config`].

mod file;
pub mod given;
pub mod inbox;
pub mod inspect;
pub mod origin;
pub mod proxy;
pub mod relay;
mod resolve;
mod simulate;
#[cfg(test)]
mod tests;
pub mod token;
pub mod transport;
pub mod webhooks;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use adit_shared::name::{Host, Name};
use adit_shared::paths::PathPattern;
use adit_shared::quic::Congestion;
use adit_shared::quic::tls::{TlsError, Trust};
use adit_shared::quic::tuning::Window;
use adit_shared::stall::Budget;
use adit_shared::telemetry::LogFormat;
use adit_shared::webhook::fetch::Way;
use adit_shared::webhook::secrets::BadSecretFile;
use thiserror::Error;

pub use file::BadFile;
pub use given::{Given, Place};
pub use inbox::Inbox;
pub use inspect::{Keep, Limits};
pub use origin::{HostHeader, Origin, Scheme};
pub use proxy::Proxy;
pub use relay::{RelayAddress, default_state_dir, default_trust, is_loopback};
pub use resolve::STALLED;
pub use simulate::Simulate;
pub use token::{BadToken, Token};
pub use transport::TransportChoice;
pub use webhooks::Webhooks;

/// What the agent shall do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Through which relay.
    pub relay: RelayAddress,
    /// How to trust it; `None` for [`default_trust`].
    pub trust: Option<Trust>,
    /// In what QUIC may travel.
    pub transport: TransportChoice,
    /// Through which proxy TCP goes to the relay.
    pub proxy: Option<Proxy>,
    /// What allows us to connect.
    pub token: Option<Token>,
    /// Relays beside that one, through which the same is served at the same time.
    pub others: Vec<OtherRelay>,
    /// What to expose; at least one.
    pub tunnels: Vec<Tunnel>,
    /// Where the identity is kept.
    pub state_dir: PathBuf,
    /// Where to show requests in a browser. With [`DEFAULT_INSPECT`] a later port will do.
    pub inspect: Option<SocketAddr>,
    /// How much is kept to be shown there.
    pub keep: Keep,
    /// Write events to stdout as JSON.
    pub json: bool,
    /// Show URLs as QR codes.
    pub qr: bool,
    /// Give up when the relay cannot be reached.
    pub once: bool,
    /// How long exchanges in flight may take to finish.
    pub drain_grace: Duration,
    /// How what is sent to the relay finds its rate.
    pub congestion: Congestion,
    /// Bytes of one exchange that may be under way from the relay.
    pub window: Window,
    /// Bytes that may be held for origins that stopped reading.
    pub stalled: Budget,
    /// Which failures are simulated.
    pub simulate: Option<Simulate>,
    /// How what webhooks name is fetched: as this machine does.
    pub fetch: Way,
    /// How log lines are written.
    pub log_format: LogFormat,
}

impl Config {
    /// The file of this agent's identity.
    pub fn identity(&self) -> PathBuf {
        identity_in(&self.state_dir)
    }

    /// The file of the webhook events that have come, if any tunnel remembers them.
    pub fn events(&self) -> Option<PathBuf> {
        let remembers = |tunnel: &Tunnel| tunnel.webhooks.duplicates != webhooks::Duplicates::Off;
        let is_wanted = self.tunnels.iter().any(remembers);
        is_wanted.then(|| self.state_dir.join("events.db"))
    }

    /// The same for each relay alone, in order.
    pub fn split(mut self) -> Vec<Self> {
        let others = std::mem::take(&mut self.others);
        let through = |other: OtherRelay| Self {
            relay: other.relay,
            trust: other.trust,
            proxy: other.proxy,
            token: other.token,
            ..self.clone()
        };
        let others: Vec<_> = others.into_iter().map(through).collect();
        std::iter::once(self).chain(others).collect()
    }
}

/// One more relay; the parts mean what they mean in [`Config`].
#[derive(Clone, Debug)]
pub struct OtherRelay {
    /// Which.
    pub relay: RelayAddress,
    /// How to trust it.
    pub trust: Option<Trust>,
    /// Through which proxy TCP goes to it.
    pub proxy: Option<Proxy>,
    /// What allows us to connect.
    pub token: Option<Token>,
}

/// The file of the identity in a state directory.
pub(crate) fn identity_in(state_dir: &Path) -> PathBuf {
    state_dir.join("identity.key")
}

/// One public name and the origin behind it.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Our number for it.
    pub id: u64,
    /// What tells it from the other tunnels of this identity; derived names follow from it.
    pub label: String,
    /// The name to ask for.
    pub name: Option<Name>,
    /// The own domain to ask for.
    pub host: Option<Host>,
    /// What to forward to.
    pub origin: Origin,
    /// Which `Host` the origin sees.
    pub host_header: HostHeader,
    /// How long the origin may take to its response head.
    pub origin_timeout: Duration,
    /// What the relay shall keep when it cannot be served.
    pub inbox: Option<Inbox>,
    /// Of which paths it gets copies, when another agent serves them.
    pub mirror: Option<Vec<PathPattern>>,
    /// What is done for its webhooks.
    pub webhooks: Webhooks,
}

/// Where requests are shown in a browser when nobody says otherwise: where such pages are looked
/// for since ngrok.
pub const DEFAULT_INSPECT: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4040));

/// Why there is no [`Config`].
#[derive(Debug, Error)]
pub enum BadConfig {
    /// An option has a value that is none.
    #[error("{0}: {1}")]
    Value(Place, String),
    /// Two options exclude each other.
    #[error("{0} and {1} exclude each other")]
    Both(Place, Place),
    /// An option describes a tunnel, yet the file describes the tunnels.
    #[error("{0}: the tunnels are in {1}, so describe them there")]
    TunnelsInFile(Place, PathBuf),
    /// No relay.
    #[error("which relay? Give --relay HOST, or --relay local to try it without a server")]
    NoRelay,
    /// No tunnel.
    #[error("what to expose? Give --port N, --origin URL or --echo")]
    NoTunnel,
    /// A file with neither tunnel nor relay, where one is needed.
    #[error("{0}: {1} is missing")]
    Missing(PathBuf, &'static str),
    /// The platform does not say where state goes.
    #[error("there is no home directory to keep the identity in; give --state-dir DIR")]
    NoStateDir,
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] BadFile),
    /// There is no usable token at the place where one should be.
    #[error("{0}")]
    Token(Place, #[source] BadToken),
    /// There is no usable certificate at the place where one should be.
    #[error("{0}")]
    RelayCa(Place, #[source] TlsError),
    /// There are no usable secrets at the place where they should be.
    #[error("{0}")]
    WebhookSecrets(Place, #[source] BadSecretFile),
}

impl BadConfig {
    fn value(place: Place, why: impl fmt::Display) -> Self {
        Self::Value(place, why.to_string())
    }

    /// True when the command line is wrong by itself, whatever the files on this machine hold.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoRelay | Self::NoTunnel => true,
            Self::Value(place, _) | Self::Both(place, _) | Self::TunnelsInFile(place, _) => {
                matches!(place, Place::CommandLine(_))
            }
            Self::Missing(..)
            | Self::NoStateDir
            | Self::File(_)
            | Self::Token(..)
            | Self::RelayCa(..)
            | Self::WebhookSecrets(..) => false,
        }
    }
}
