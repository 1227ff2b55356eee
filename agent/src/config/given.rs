//! What was given, and where: the layers that a [`Config`](super::Config) is made of.
//!
//! Each layer is a map from the name of an option to its text. The command line lies over the
//! environment, which lies over the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use adit_shared::webhook::secrets::Secrets;

use super::file::{File, OneOrMore, Table};
use super::{BadConfig, proxy};
use crate::cli::Options;

/// Everything that was given. Its parts are read by methods of their own.
pub struct Given {
    pub(super) layers: Vec<Layer>,
    pub(super) tables: Vec<Layer>,
    pub(super) file: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) qr: bool,
    pub(super) once: bool,
    /// What webhooks are signed with, from the environment.
    pub(super) secrets: Secrets,
    /// What the system says about proxies.
    pub(super) proxies: BTreeMap<&'static str, String>,
}

impl Given {
    /// Puts the command line, the environment (through `variable`) and the file that one of them
    /// names over each other.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] when the file cannot be read or a variable is not text.
    pub fn collect(
        options: Options,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, BadConfig> {
        let mut layers = vec![Layer::flags(options), Layer::environment(&variable)?];
        let (mut tables, mut file) = (Vec::new(), None);
        if let Some(path) = first(&layers, &["config"])? {
            let path = PathBuf::from(path.text);
            let read = File::read(&path)?;
            for (at, table) in read.tunnels.iter().enumerate() {
                tables.push(Layer::table(&path, at + 1, table));
            }
            layers.push(Layer::file(&path, &read));
            file = Some(path);
        }
        let on = |key| layers.iter().any(|layer| layer.values.contains_key(key));
        let proxies = proxy::VARIABLES.into_iter().filter_map(|name| {
            let text = variable(name)?.into_string().ok()?;
            Some((name, text))
        });
        Ok(Self {
            secrets: Secrets::collect(|name| variable(name)?.into_string().ok()),
            proxies: proxies.collect(),
            json: on("json"),
            qr: on("qr"),
            once: on("once"),
            layers,
            tables,
            file,
        })
    }

    /// The configuration file, if one was named.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether people or programs read stdout.
    pub fn json(&self) -> bool {
        self.json
    }

    /// One of several options of which at most one may be given at a place; a stronger place wins.
    pub(super) fn first(&self, keys: &[&'static str]) -> Result<Option<Setting>, BadConfig> {
        first(&self.layers, keys)
    }
}

impl fmt::Debug for Given {
    /// Without values: one of them may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// One place's options.
pub(super) struct Layer {
    source: Source,
    values: BTreeMap<&'static str, String>,
}

impl Layer {
    fn flags(options: Options) -> Self {
        let flag = |on: bool| on.then(|| "true".to_owned());
        Self::new(
            Source::CommandLine,
            [
                ("ack-within", options.ack_within),
                ("config", options.config),
                ("congestion", options.congestion),
                ("drain-grace", options.drain_grace),
                ("echo", flag(options.echo)),
                ("host-header", options.host_header),
                ("hostname", options.hostname),
                ("inbox", options.inbox),
                ("inbox-on", options.inbox_on),
                ("inbox-parallel", options.inbox_parallel),
                ("inbox-status", options.inbox_status),
                ("inspect", options.inspect),
                ("inspect-body", options.inspect_body),
                ("inspect-memory", options.inspect_memory),
                ("inspect-rate", options.inspect_rate),
                ("inspect-requests", options.inspect_requests),
                ("inspect-store", options.inspect_store),
                ("json", flag(options.json)),
                ("log-format", options.log_format),
                ("mirror", options.mirror),
                ("once", flag(options.once)),
                ("origin", options.origin),
                ("origin-insecure", flag(options.origin_insecure)),
                ("origin-timeout", options.origin_timeout),
                ("pin", list(&options.pin)),
                ("port", options.port),
                ("qr", flag(options.qr)),
                ("relay", list(&options.relay)),
                ("relay-ca", options.relay_ca),
                ("simulate", options.simulate),
                ("state-dir", options.state_dir),
                ("subdomain", options.subdomain),
                ("token", list(&options.token)),
                ("token-file", options.token_file),
                ("transport", options.transport),
                ("verify", list(&options.verify)),
                ("webhook-challenges", options.webhook_challenges),
                ("webhook-confirm", flag(options.webhook_confirm)),
                ("webhook-duplicates", options.webhook_duplicates),
                ("webhook-limit", options.webhook_limit),
                ("webhook-secret-file", options.webhook_secret_file),
                ("webhook-sign-anew", flag(options.webhook_sign_anew)),
                ("webhook-tolerance", options.webhook_tolerance),
                ("webhook-window", options.webhook_window),
                ("window", options.window),
            ],
        )
    }

    fn environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, BadConfig> {
        let mut values = BTreeMap::new();
        for key in KEYS {
            let place = Place::Environment(key);
            let Some(text) = variable(&place.to_string()).filter(|text| !text.is_empty()) else {
                continue;
            };
            let Ok(text) = text.into_string() else {
                return Err(BadConfig::value(place, "it is not valid UTF-8"));
            };
            if SWITCHES.contains(&key) {
                match text.to_ascii_lowercase().as_str() {
                    "1" | "true" | "yes" | "on" => {}
                    "0" | "false" | "no" | "off" => continue,
                    _ => return Err(BadConfig::value(place, "it is neither 1 nor 0")),
                }
            }
            values.insert(key, text);
        }
        Ok(Self {
            source: Source::Environment,
            values,
        })
    }

    fn file(path: &Path, file: &File) -> Self {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Self::new(
            Source::File(path.to_owned()),
            [
                ("congestion", file.congestion.clone()),
                ("drain-grace", file.drain_grace.clone()),
                ("inspect", file.inspect.clone()),
                ("inspect-body", file.inspect_body.clone()),
                ("inspect-memory", file.inspect_memory.clone()),
                ("inspect-rate", file.inspect_rate.map(|n| n.to_string())),
                (
                    "inspect-requests",
                    file.inspect_requests.map(|n| n.to_string()),
                ),
                ("inspect-store", text(&file.inspect_store)),
                (
                    "pin",
                    file.pin.clone().and_then(|pins| list(&Vec::from(pins))),
                ),
                (
                    "relay",
                    file.relay
                        .clone()
                        .and_then(|relays| list(&Vec::from(relays))),
                ),
                ("relay-ca", text(&file.relay_ca)),
                ("simulate", file.simulate.clone()),
                ("state-dir", text(&file.state_dir)),
                ("token-file", text(&file.token_file)),
                ("transport", file.transport.clone()),
                ("webhook-secret-file", text(&file.webhook_secret_file)),
                ("window", file.window.clone()),
            ],
        )
    }

    fn table(path: &Path, number: usize, table: &Table) -> Self {
        let flag = |on: bool| on.then(|| "true".to_owned());
        Self::new(
            Source::Table(path.to_owned(), number),
            [
                ("label", table.label.clone()),
                ("port", table.port.map(|port| port.to_string())),
                ("origin", table.origin.clone()),
                ("echo", flag(table.echo)),
                ("subdomain", table.subdomain.clone()),
                ("hostname", table.hostname.clone()),
                ("host-header", table.host_header.clone()),
                ("origin-insecure", flag(table.origin_insecure)),
                ("origin-timeout", table.origin_timeout.clone()),
                ("inbox", texts(&table.inbox)),
                ("inbox-on", texts(&table.inbox_on)),
                ("inbox-status", table.inbox_status.map(|n| n.to_string())),
                (
                    "inbox-parallel",
                    table.inbox_parallel.map(|n| n.to_string()),
                ),
                ("ack-within", table.ack_within.clone()),
                ("mirror", texts(&table.mirror)),
                (
                    "verify",
                    table
                        .verify
                        .clone()
                        .and_then(|rules| list(&Vec::from(rules))),
                ),
                ("webhook-challenges", table.webhook_challenges.clone()),
                ("webhook-confirm", flag(table.webhook_confirm)),
                ("webhook-duplicates", table.webhook_duplicates.clone()),
                ("webhook-limit", table.webhook_limit.clone()),
                ("webhook-sign-anew", flag(table.webhook_sign_anew)),
                ("webhook-tolerance", table.webhook_tolerance.clone()),
                ("webhook-window", table.webhook_window.clone()),
            ],
        )
    }

    fn new<const N: usize>(source: Source, values: [(&'static str, Option<String>); N]) -> Self {
        let values = values
            .into_iter()
            .filter_map(|(key, text)| Some((key, text?)));
        Self {
            source,
            values: values.collect(),
        }
    }

    pub(super) fn place(&self, key: &'static str) -> Place {
        match &self.source {
            Source::CommandLine => Place::CommandLine(key),
            Source::Environment => Place::Environment(key),
            Source::File(path) => Place::File(path.clone(), key.to_owned()),
            Source::Table(path, number) => {
                Place::File(path.clone(), format!("tunnel {number}, {key}"))
            }
        }
    }
}

/// One or several values as one text.
fn texts(values: &Option<OneOrMore>) -> Option<String> {
    list(&Vec::from(values.clone()?))
}

/// Several values as one text; nothing when there is none.
fn list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(BETWEEN))
}

enum Source {
    CommandLine,
    Environment,
    File(PathBuf),
    Table(PathBuf, usize),
}

/// The strongest layer's setting among `keys`.
pub(super) fn first(layers: &[Layer], keys: &[&'static str]) -> Result<Option<Setting>, BadConfig> {
    for layer in layers {
        let mut found = keys.iter().filter_map(|key| {
            let text = layer.values.get(key)?.clone();
            let place = layer.place(key);
            Some(Setting { key, text, place })
        });
        if let Some(setting) = found.next() {
            return match found.next() {
                Some(other) => Err(BadConfig::Both(setting.place, other.place)),
                None => Ok(Some(setting)),
            };
        }
    }
    Ok(None)
}

/// The text of one option.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) text: String,
    pub(super) place: Place,
}

impl Setting {
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, BadConfig> {
        self.parse_with(T::from_str)
    }

    pub(super) fn parse_with<T, E: fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, BadConfig> {
        parse(&self.text).map_err(|why| BadConfig::value(self.place.clone(), why))
    }

    /// Each of several values.
    pub(super) fn parse_each<T: FromStr<Err: fmt::Display>>(&self) -> Result<Vec<T>, BadConfig> {
        let one = |text: &str| {
            let parsed = text.trim().parse();
            parsed.map_err(|why| BadConfig::value(self.place.clone(), why))
        };
        self.text.split(BETWEEN).map(one).collect()
    }
}

/// Where an option was given. Shown as people write it there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// On the command line.
    CommandLine(&'static str),
    /// In the environment.
    Environment(&'static str),
    /// In a file, under a key.
    File(PathBuf, String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(key) => write!(f, "--{key}"),
            Self::Environment(key) => {
                write!(f, "ADIT_{}", key.to_ascii_uppercase().replace('-', "_"))
            }
            Self::File(path, key) => write!(f, "{}: {key}", path.display()),
        }
    }
}

/// Between the values of an option that has several; no relay, pin, token or rule holds one.
const BETWEEN: &str = ",";

/// All options.
const KEYS: [&str; 45] = [
    "ack-within",
    "config",
    "congestion",
    "drain-grace",
    "echo",
    "host-header",
    "hostname",
    "inbox",
    "inbox-on",
    "inbox-parallel",
    "inbox-status",
    "inspect",
    "inspect-body",
    "inspect-memory",
    "inspect-rate",
    "inspect-requests",
    "inspect-store",
    "json",
    "log-format",
    "mirror",
    "once",
    "origin",
    "origin-insecure",
    "origin-timeout",
    "pin",
    "port",
    "qr",
    "relay",
    "relay-ca",
    "simulate",
    "state-dir",
    "subdomain",
    "token",
    "token-file",
    "transport",
    "verify",
    "webhook-challenges",
    "webhook-confirm",
    "webhook-duplicates",
    "webhook-limit",
    "webhook-secret-file",
    "webhook-sign-anew",
    "webhook-tolerance",
    "webhook-window",
    "window",
];

/// Those without a value.
const SWITCHES: [&str; 7] = [
    "echo",
    "json",
    "once",
    "origin-insecure",
    "qr",
    "webhook-confirm",
    "webhook-sign-anew",
];
