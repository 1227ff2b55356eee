//! What was given, and where: the layers that a [`Config`](super::Config) is made of.
//!
//! Each layer is a map from the name of an option to its text. The command line lies over the
//! environment, which lies over the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::BadConfig;
use super::file::{File, Table};
use crate::cli::Options;

/// Everything that was given. Its parts are read by methods of their own.
pub struct Given {
    pub(super) layers: Vec<Layer>,
    pub(super) tables: Vec<Layer>,
    pub(super) file: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) qr: bool,
    pub(super) once: bool,
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
        let mut layers = vec![Layer::flags(options), Layer::environment(variable)?];
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
        Ok(Self {
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
                ("config", options.config),
                ("drain-grace", options.drain_grace),
                ("echo", flag(options.echo)),
                ("host-header", options.host_header),
                ("hostname", options.hostname),
                ("inspect", options.inspect),
                ("json", flag(options.json)),
                ("log-format", options.log_format),
                ("once", flag(options.once)),
                ("origin", options.origin),
                ("origin-insecure", flag(options.origin_insecure)),
                ("origin-timeout", options.origin_timeout),
                ("pin", options.pin),
                ("port", options.port),
                ("qr", flag(options.qr)),
                ("relay", options.relay),
                ("relay-ca", options.relay_ca),
                ("state-dir", options.state_dir),
                ("subdomain", options.subdomain),
                ("token", options.token),
                ("token-file", options.token_file),
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
                ("drain-grace", file.drain_grace.clone()),
                ("inspect", file.inspect.clone()),
                ("pin", file.pin.clone()),
                ("relay", file.relay.clone()),
                ("relay-ca", text(&file.relay_ca)),
                ("state-dir", text(&file.state_dir)),
                ("token-file", text(&file.token_file)),
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

/// All options.
const KEYS: [&str; 21] = [
    "config",
    "drain-grace",
    "echo",
    "host-header",
    "hostname",
    "inspect",
    "json",
    "log-format",
    "once",
    "origin",
    "origin-insecure",
    "origin-timeout",
    "pin",
    "port",
    "qr",
    "relay",
    "relay-ca",
    "state-dir",
    "subdomain",
    "token",
    "token-file",
];

/// Those without a value.
const SWITCHES: [&str; 5] = ["echo", "json", "once", "origin-insecure", "qr"];
