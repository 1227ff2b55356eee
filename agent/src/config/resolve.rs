//! From what was given to a [`Config`]: the only place where defaults are filled in.
//!
//! Each part has its own method, so that a check can report every fault instead of the first.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adit_shared::quantity::Size;
use adit_shared::quic::Congestion;
use adit_shared::quic::tls::{self, Pin, Trust};
use adit_shared::quic::tuning::{WINDOWS, Window};
use adit_shared::stall::Budget;
use adit_shared::telemetry::LogFormat;
use adit_shared::webhook::fetch::Way;
use adit_shared::webhook::rule::{BadRule, Rule, Typed};
use adit_shared::webhook::scheme::Challenge;
use adit_shared::webhook::secrets::SecretFile;
use adit_shared::webhook::{Provider, Secret};

use super::given::{Given, Layer, Place, Setting, first};
use super::inbox::{inbox, mirror};
use super::webhooks::{BUDGET, BadWebhooks, Duplicates};
use super::{
    BadConfig, BadToken, Config, DEFAULT_INSPECT, HostHeader, Origin, OtherRelay, Proxy,
    RelayAddress, Scheme, Token, TransportChoice, Tunnel, Webhooks, default_state_dir,
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
        let relays = self.relays()?;
        let trust = self.for_each(&["pin", "relay-ca"], self.trusts()?, relays.len())?;
        let tokens = self.for_each(&["token", "token-file"], self.tokens()?, relays.len())?;
        let parts = relays.into_iter().zip(trust).zip(tokens);
        let mut relays = parts.map(|((relay, trust), token)| OtherRelay {
            proxy: self.proxy(&relay),
            relay,
            trust,
            token,
        });
        let OtherRelay {
            relay,
            trust,
            proxy,
            token,
        } = relays
            .next()
            .ok_or_else(|| self.missing("relay", BadConfig::NoRelay))?;
        Ok(Config {
            tunnels,
            relay,
            trust,
            transport: self.transport()?,
            proxy,
            token,
            others: relays.collect(),
            state_dir: self.state_dir()?,
            inspect: self.inspect()?,
            keep: self.keep()?,
            json: self.json,
            qr: self.qr,
            once: self.once,
            drain_grace: self.drain_grace()?,
            congestion: self.congestion()?,
            window: self.window()?,
            stalled: STALLED,
            fetch: Way::default(),
            simulate: self
                .first(&["simulate"])?
                .map(|setting| setting.parse())
                .transpose()?,
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

    /// All relays, at least one.
    pub(crate) fn relays(&self) -> Result<Vec<RelayAddress>, BadConfig> {
        let Some(setting) = self.first(&["relay"])? else {
            return Err(self.missing("relay", BadConfig::NoRelay));
        };
        let relays: Vec<RelayAddress> = setting.parse_each()?;
        let twice = (1..relays.len()).find(|at| relays[..*at].contains(&relays[*at]));
        match twice {
            Some(at) => {
                let why = format!("{} is there twice", relays[at]);
                Err(BadConfig::value(setting.place, why))
            }
            None => Ok(relays),
        }
    }

    /// How the relay at this place among [`relays`](Self::relays) is trusted.
    pub(crate) fn trust_of(&self, at: usize) -> Result<Option<Trust>, BadConfig> {
        let relays = self.relays().map_or(1, |relays| relays.len());
        let mut trust = self.for_each(&["pin", "relay-ca"], self.trusts()?, relays)?;
        Ok(trust.swap_remove(at))
    }

    /// How relays are trusted: all in one way, or each in its own.
    fn trusts(&self) -> Result<Vec<Trust>, BadConfig> {
        let Some(setting) = self.first(&["pin", "relay-ca"])? else {
            return Ok(Vec::new());
        };
        if setting.key == "pin" {
            let pins: Vec<Pin> = setting.parse_each()?;
            return Ok(pins.into_iter().map(Trust::Pin).collect());
        }
        let roots = tls::read_certificates(Path::new(&setting.text));
        match roots {
            Ok(certificates) => Ok(vec![Trust::Roots(certificates)]),
            Err(error) => Err(BadConfig::RelayCa(setting.place, error)),
        }
    }

    pub(crate) fn transport(&self) -> Result<TransportChoice, BadConfig> {
        match self.first(&["transport"])? {
            Some(setting) => setting.parse(),
            None => Ok(TransportChoice::Auto),
        }
    }

    /// The proxy on the way to the relay. One that cannot be used is no reason to stop: most likely
    /// it is there for other programs.
    fn proxy(&self, relay: &RelayAddress) -> Option<Proxy> {
        let RelayAddress::Remote { host, .. } = relay else {
            return None;
        };
        let proxy = Proxy::to(host, |name| self.proxies.get(name).cloned());
        proxy.unwrap_or_else(|error| {
            tracing::warn!(%error, "the proxy in the environment is not used");
            None
        })
    }

    /// The token for the relay at this place among [`relays`](Self::relays).
    pub(crate) fn token_of(&self, at: usize) -> Result<Option<Token>, BadConfig> {
        let relays = self.relays().map_or(1, |relays| relays.len());
        let mut tokens = self.for_each(&["token", "token-file"], self.tokens()?, relays)?;
        Ok(tokens.swap_remove(at))
    }

    /// One token for all relays, or one for each.
    fn tokens(&self) -> Result<Vec<Token>, BadConfig> {
        let Some(setting) = self.first(&["token", "token-file"])? else {
            return Ok(Vec::new());
        };
        let tokens: Result<Vec<Token>, BadToken> = if setting.key == "token" {
            Token::list(&setting.text)
        } else {
            Token::read(Path::new(&setting.text))
        };
        tokens.map_err(|error| BadConfig::Token(setting.place, error))
    }

    /// One of `given` for each of `relays`: the same for all, or each its own.
    fn for_each<T: Clone>(
        &self,
        keys: &[&'static str],
        given: Vec<T>,
        relays: usize,
    ) -> Result<Vec<Option<T>>, BadConfig> {
        if given.len() <= 1 {
            return Ok(vec![given.into_iter().next(); relays]);
        }
        if given.len() == relays {
            return Ok(given.into_iter().map(Some).collect());
        }
        let why = format!(
            "there are {} of them for {relays} relays; give one for all, or one for each",
            given.len()
        );
        match self.first(keys)? {
            Some(setting) => Err(BadConfig::value(setting.place, why)),
            None => Ok(vec![None; relays]),
        }
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

    pub(crate) fn congestion(&self) -> Result<Congestion, BadConfig> {
        let Some(setting) = self.first(&["congestion"])? else {
            return Ok(Congestion::default());
        };
        setting.parse_with(|text| {
            text.parse()
                .map_err(|_| "this is neither `bbr` nor `cubic`")
        })
    }

    fn window(&self) -> Result<Window, BadConfig> {
        let Some(setting) = self.first(&["window"])? else {
            return Ok(Window::ByPath);
        };
        let Size(bytes) = setting.parse()?;
        match u32::try_from(bytes) {
            Ok(fits) if WINDOWS.contains(&bytes) => Ok(Window::Bytes(fits)),
            _ => {
                let (least, most) = (WINDOWS.start() >> 10, WINDOWS.end() >> 20);
                let why = format!("it must be {least}KiB to {most}MiB");
                Err(BadConfig::value(setting.place, why))
            }
        }
    }

    pub(crate) fn drain_grace(&self) -> Result<Duration, BadConfig> {
        duration(self.first(&["drain-grace"])?, DRAIN_GRACE)
    }

    /// The tunnels; none when none is described.
    pub(crate) fn tunnels(&self) -> Result<Vec<Tunnel>, BadConfig> {
        let Some(path) = self.file.as_ref().filter(|_| !self.tables.is_empty()) else {
            return Ok(self.tunnel(0, &self.layers)?.into_iter().collect());
        };
        for key in TUNNEL_KEYS {
            if let Some(setting) = self.first(&[key])? {
                return Err(BadConfig::TunnelsInFile(setting.place, path.clone()));
            }
        }
        let mut tunnels: Vec<Tunnel> = Vec::new();
        for (id, table) in (0..).zip(&self.tables) {
            let key = "port, origin or echo of a [[tunnel]]";
            let tunnel = self
                .tunnel(id, std::slice::from_ref(table))?
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

    /// The tunnel that `layers` describe; none when they name no origin.
    fn tunnel(&self, id: u64, layers: &[Layer]) -> Result<Option<Tunnel>, BadConfig> {
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
            host_header: one("host-header")?
                .map_or(Ok(HostHeader::Keep), |setting| setting.parse())?,
            origin_timeout: timeout(one("origin-timeout")?)?,
            webhooks: self.webhooks(layers)?,
            inbox: inbox(layers)?,
            mirror: mirror(layers)?,
        }))
    }

    /// What `layers` say about webhooks. The secrets are from anywhere.
    fn webhooks(&self, layers: &[Layer]) -> Result<Webhooks, BadConfig> {
        let one = |key| first(layers, &[key]);
        let mut webhooks = Webhooks::default();
        if let Some(setting) = one("webhook-duplicates")? {
            webhooks.duplicates = setting.parse()?;
            if webhooks.duplicates == Duplicates::Drop && one("verify")?.is_none() {
                return Err(BadConfig::value(setting.place, BadWebhooks::Drop));
            }
        }
        if let Some(setting) = one("webhook-challenges")? {
            webhooks.challenges = setting.parse()?;
        }
        webhooks.window = duration(one("webhook-window")?, webhooks.window)?;
        if let Some(setting) = one("webhook-limit")? {
            webhooks.limit = setting.parse::<Size>()?.0;
            if webhooks.limit > BUDGET {
                return Err(BadConfig::value(setting.place, BadWebhooks::Limit));
            }
        }
        let tolerance = match one("webhook-tolerance")? {
            Some(setting) => Some(duration(Some(setting), Duration::ZERO)?),
            None => None,
        };
        if let Some(setting) = one("webhook-sign-anew")? {
            webhooks.sign_anew = true;
            if one("verify")?.is_none() {
                return Err(BadConfig::value(setting.place, BadWebhooks::SignAnew));
            }
        }
        let file = self.webhook_secret_file()?;
        webhooks.signing = self.secrets.own(file.as_ref());
        if let Some(setting) = one("verify")? {
            let typed = setting.parse_each::<Typed>()?.into_iter();
            let rules = typed.map(|typed| typed.rule(&self.secrets, file.as_ref(), tolerance));
            let rules: Result<Vec<Rule>, BadRule> = rules.collect();
            webhooks.rules = rules.map_err(|why| BadConfig::value(setting.place, why))?;
            for rule in &webhooks.rules {
                let signing = webhooks.signing.entry(rule.provider.name);
                signing.or_insert_with(|| rule.secrets[0].clone());
            }
        }
        if let Some(setting) = one("webhook-confirm")? {
            webhooks.confirm = true;
            let mut rules = webhooks.rules.iter();
            if !rules.any(|rule| rule.provider.challenge == Some(Challenge::Sns)) {
                return Err(BadConfig::value(setting.place, BadWebhooks::Confirm));
            }
        }
        Ok(webhooks)
    }

    /// What a webhook of `provider`, which was called `name`, is signed with.
    pub(crate) fn webhook_secret(
        &self,
        name: &str,
        provider: &'static Provider,
    ) -> Result<Secret, BadConfig> {
        let file = self.webhook_secret_file()?;
        let secrets = self.secrets.of(name, provider, file.as_ref());
        let place = Place::CommandLine("webhook-secret-file");
        let secrets = secrets.map_err(|why| BadConfig::value(place.clone(), why))?;
        let first = secrets.into_iter().next();
        first.ok_or_else(|| BadConfig::value(place, "there is no secret"))
    }

    /// Whether any certificate of an origin will do.
    pub(crate) fn origin_insecure(&self) -> bool {
        matches!(self.first(&["origin-insecure"]), Ok(Some(_)))
    }

    /// The secrets in the file that is named for them.
    pub(crate) fn webhook_secret_file(&self) -> Result<Option<SecretFile>, BadConfig> {
        let Some(setting) = self.first(&["webhook-secret-file"])? else {
            return Ok(None);
        };
        match SecretFile::read(Path::new(&setting.text)) {
            Ok(file) => Ok(Some(file)),
            Err(error) => Err(BadConfig::WebhookSecrets(setting.place, error)),
        }
    }

    fn missing(&self, key: &'static str, otherwise: BadConfig) -> BadConfig {
        match &self.file {
            Some(path) => BadConfig::Missing(path.clone(), key),
            None => otherwise,
        }
    }
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

pub(super) fn duration(setting: Option<Setting>, default: Duration) -> Result<Duration, BadConfig> {
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
const TUNNEL_KEYS: [&str; 22] = [
    "port",
    "origin",
    "echo",
    "subdomain",
    "hostname",
    "host-header",
    "origin-insecure",
    "origin-timeout",
    "inbox",
    "inbox-on",
    "inbox-status",
    "inbox-parallel",
    "ack-within",
    "mirror",
    "verify",
    "webhook-challenges",
    "webhook-confirm",
    "webhook-duplicates",
    "webhook-limit",
    "webhook-sign-anew",
    "webhook-tolerance",
    "webhook-window",
];
