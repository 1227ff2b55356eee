//! From what was given to a [`Config`]: the only place where defaults are filled in.
//!
//! Each part has its own method, so that a check can report every fault instead of the first.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adit_shared::quic::tls::{self, Pin, Trust};
use adit_shared::quic::tuning::Window;
use adit_shared::stall::Budget;
use adit_shared::telemetry::LogFormat;

use super::given::{Given, Layer, Setting, first};
use super::{
    BadConfig, BadToken, Config, DEFAULT_INSPECT, HostHeader, Origin, RelayAddress, Scheme, Token,
    Tunnel, default_state_dir,
};

impl Given {
    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`BadConfig`], the first found.
    pub fn config(&self) -> Result<Config, BadConfig> {
        let tunnels = self.tunnels()?;
        if tunnels.is_empty() {
            let key = "a [[tunnel]]";
            return Err(self.missing(key, BadConfig::NoTunnel));
        }
        Ok(Config {
            tunnels,
            relay: self.relay()?,
            trust: self.trust()?,
            token: self.token()?,
            state_dir: self.state_dir()?,
            inspect: self.inspect()?,
            json: self.json,
            qr: self.qr,
            once: self.once,
            drain_grace: self.drain_grace()?,
            window: Window::ByPath,
            stalled: STALLED,
            log_format: self.log_format()?,
        })
    }

    /// How log lines are written. No file says it, since reading one may have to be logged.
    ///
    /// # Errors
    ///
    /// [`BadConfig`].
    pub fn log_format(&self) -> Result<LogFormat, BadConfig> {
        let Some(setting) = self.first(&["log-format"])? else {
            return Ok(LogFormat::Text);
        };
        setting.parse_with(|text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("this is neither text nor json"),
        })
    }

    pub(crate) fn relay(&self) -> Result<RelayAddress, BadConfig> {
        match self.first(&["relay"])? {
            Some(setting) => setting.parse(),
            None => Err(self.missing("relay", BadConfig::NoRelay)),
        }
    }

    pub(crate) fn trust(&self) -> Result<Option<Trust>, BadConfig> {
        let Some(setting) = self.first(&["pin", "relay-ca"])? else {
            return Ok(None);
        };
        if setting.key == "pin" {
            return Ok(Some(Trust::Pin(setting.parse::<Pin>()?)));
        }
        let roots = tls::read_certificates(Path::new(&setting.text));
        match roots {
            Ok(certificates) => Ok(Some(Trust::Roots(certificates))),
            Err(error) => Err(BadConfig::RelayCa(setting.place, error)),
        }
    }

    pub(crate) fn token(&self) -> Result<Option<Token>, BadConfig> {
        let Some(setting) = self.first(&["token", "token-file"])? else {
            return Ok(None);
        };
        let token: Result<Token, BadToken> = if setting.key == "token" {
            setting.text.parse()
        } else {
            Token::read(Path::new(&setting.text))
        };
        token
            .map(Some)
            .map_err(|error| BadConfig::Token(setting.place, error))
    }

    pub(crate) fn state_dir(&self) -> Result<PathBuf, BadConfig> {
        match self.first(&["state-dir"])? {
            Some(setting) if setting.text.is_empty() => {
                Err(BadConfig::value(setting.place, "this is no directory"))
            }
            Some(setting) => Ok(setting.text.into()),
            None => default_state_dir("agent").ok_or(BadConfig::NoStateDir),
        }
    }

    pub(crate) fn inspect(&self) -> Result<Option<SocketAddr>, BadConfig> {
        let Some(setting) = self.first(&["inspect"])? else {
            return Ok(Some(DEFAULT_INSPECT));
        };
        if setting.text == "off" {
            return Ok(None);
        }
        let why = "this is neither `off` nor an address with a port, such as 127.0.0.1:4040";
        setting.parse_with(|text| text.parse().map(Some).map_err(|_| why))
    }

    pub(crate) fn drain_grace(&self) -> Result<Duration, BadConfig> {
        duration(self.first(&["drain-grace"])?, DRAIN_GRACE)
    }

    /// The tunnels; none when none is described.
    pub(crate) fn tunnels(&self) -> Result<Vec<Tunnel>, BadConfig> {
        let Some(path) = self.file.as_ref().filter(|_| !self.tables.is_empty()) else {
            return Ok(tunnel(0, &self.layers)?.into_iter().collect());
        };
        for key in TUNNEL_KEYS {
            if let Some(setting) = self.first(&[key])? {
                return Err(BadConfig::TunnelsInFile(setting.place, path.clone()));
            }
        }
        let mut tunnels: Vec<Tunnel> = Vec::new();
        for (id, table) in (0..).zip(&self.tables) {
            let key = "port, origin or echo of a [[tunnel]]";
            let tunnel = tunnel(id, std::slice::from_ref(table))?
                .ok_or_else(|| BadConfig::Missing(path.clone(), key))?;
            if tunnels.iter().any(|other| other.label == tunnel.label) {
                let why = format!(
                    "two tunnels are called {:?}; give each its own label",
                    tunnel.label
                );
                return Err(BadConfig::value(table.place("label"), why));
            }
            let same_name = |other: &Tunnel| other.name.is_some() && other.name == tunnel.name;
            let same_host = |other: &Tunnel| other.host.is_some() && other.host == tunnel.host;
            if tunnels
                .iter()
                .any(|other| same_name(other) || same_host(other))
            {
                let why = "two tunnels ask for the same name".to_owned();
                return Err(BadConfig::value(table.place("subdomain"), why));
            }
            tunnels.push(tunnel);
        }
        Ok(tunnels)
    }

    fn missing(&self, key: &'static str, otherwise: BadConfig) -> BadConfig {
        match &self.file {
            Some(path) => BadConfig::Missing(path.clone(), key),
            None => otherwise,
        }
    }
}

/// The tunnel that `layers` describe; none when they name no origin.
fn tunnel(id: u64, layers: &[Layer]) -> Result<Option<Tunnel>, BadConfig> {
    let one = |key| first(layers, &[key]);
    let Some(mut origin) = origin(first(layers, &["port", "origin", "echo"])?)? else {
        return Ok(None);
    };
    let label = match one("label")? {
        Some(setting) => setting.parse_with(label)?,
        None => origin.url(),
    };
    if let Some(setting) = one("origin-insecure")? {
        match &mut origin {
            Origin::Tcp {
                scheme: Scheme::Https,
                insecure,
                ..
            } => *insecure = true,
            Origin::Tcp { .. } | Origin::Unix { .. } | Origin::Echo => {
                let why = "only an https:// origin has a certificate";
                return Err(BadConfig::value(setting.place, why));
            }
        }
    }
    Ok(Some(Tunnel {
        id,
        label,
        origin,
        name: one("subdomain")?.map(|s| s.parse()).transpose()?,
        host: one("hostname")?.map(|s| s.parse()).transpose()?,
        host_header: one("host-header")?.map_or(Ok(HostHeader::Keep), |setting| setting.parse())?,
        origin_timeout: timeout(one("origin-timeout")?)?,
    }))
}

fn origin(setting: Option<Setting>) -> Result<Option<Origin>, BadConfig> {
    let Some(setting) = setting else {
        return Ok(None);
    };
    let origin = match setting.key {
        "echo" => Origin::Echo,
        "port" => setting.parse_with(Origin::from_port)?,
        _ => setting.parse()?,
    };
    Ok(Some(origin))
}

fn label(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.len() > MAX_LABEL || text.contains(char::is_control) {
        return Err("a label is one line of at most 200 characters");
    }
    Ok(text.to_owned())
}

fn timeout(setting: Option<Setting>) -> Result<Duration, BadConfig> {
    let place = setting.as_ref().map(|setting| setting.place.clone());
    match (duration(setting, ORIGIN_TIMEOUT)?, place) {
        (Duration::ZERO, Some(place)) => Err(BadConfig::value(place, "nothing answers in no time")),
        (timeout, _) => Ok(timeout),
    }
}

fn duration(setting: Option<Setting>, default: Duration) -> Result<Duration, BadConfig> {
    let Some(setting) = setting else {
        return Ok(default);
    };
    setting.parse_with(|text| {
        let why = "this is no duration, such as 500ms, 30s or 2m";
        let duration: jiff::SignedDuration = text.parse().map_err(|_| why)?;
        Duration::try_from(duration).map_err(|_| why)
    })
}

/// A slow origin is usual while somebody stops it in a debugger; two minutes is what senders of
/// webhooks wait at most.
pub(super) const ORIGIN_TIMEOUT: Duration = Duration::from_secs(120);

/// Long enough for what a person waits for, short enough for a person who pressed Ctrl-C.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// An origin that stopped reading 128 uploads from this machine, or 21 from elsewhere, holds this.
pub const STALLED: Budget = Budget {
    each: 128 << 20,
    // Two sessions overlap while a relay drains.
    all: 256 << 20,
};

const MAX_LABEL: usize = 200;

/// The options that describe a tunnel.
const TUNNEL_KEYS: [&str; 8] = [
    "port",
    "origin",
    "echo",
    "subdomain",
    "hostname",
    "host-header",
    "origin-insecure",
    "origin-timeout",
];
