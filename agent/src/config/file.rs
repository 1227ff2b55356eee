//! The configuration file, as typed.

use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// A configuration file. Paths in it count from its own directory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct File {
    pub(crate) relay: Option<OneOrMore>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) webhook_secret_file: Option<PathBuf>,
    pub(crate) pin: Option<OneOrMore>,
    pub(crate) relay_ca: Option<PathBuf>,
    pub(crate) simulate: Option<String>,
    pub(crate) transport: Option<String>,
    pub(crate) inspect: Option<String>,
    pub(crate) inspect_body: Option<String>,
    pub(crate) inspect_memory: Option<String>,
    pub(crate) inspect_rate: Option<u32>,
    pub(crate) inspect_requests: Option<u32>,
    pub(crate) inspect_store: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) congestion: Option<String>,
    pub(crate) window: Option<String>,
    pub(crate) drain_grace: Option<String>,
    #[serde(default, rename = "tunnel")]
    pub(crate) tunnels: Vec<Table>,
}

/// A text, or a list of texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "this is neither a text nor a list of texts")]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Vec<String> {
    fn from(given: OneOrMore) -> Self {
        match given {
            OneOrMore::One(text) => vec![text],
            OneOrMore::More(texts) => texts,
        }
    }
}

/// One `[[tunnel]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Table {
    pub(crate) label: Option<String>,
    pub(crate) port: Option<NonZeroU16>,
    pub(crate) origin: Option<String>,
    #[serde(default)]
    pub(crate) echo: bool,
    pub(crate) subdomain: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) host_header: Option<String>,
    #[serde(default)]
    pub(crate) origin_insecure: bool,
    pub(crate) origin_timeout: Option<String>,
    pub(crate) inbox: Option<OneOrMore>,
    pub(crate) inbox_on: Option<OneOrMore>,
    pub(crate) inbox_status: Option<u16>,
    pub(crate) inbox_parallel: Option<u16>,
    pub(crate) ack_within: Option<String>,
    pub(crate) mirror: Option<OneOrMore>,
    pub(crate) verify: Option<OneOrMore>,
    #[serde(default)]
    pub(crate) webhook_sign_anew: bool,
    #[serde(default)]
    pub(crate) webhook_confirm: bool,
    pub(crate) webhook_tolerance: Option<String>,
    pub(crate) webhook_duplicates: Option<String>,
    pub(crate) webhook_window: Option<String>,
    pub(crate) webhook_challenges: Option<String>,
    pub(crate) webhook_limit: Option<String>,
}

impl File {
    /// Reads `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, BadFile> {
        let text =
            fs::read_to_string(path).map_err(|error| BadFile::Read(path.to_owned(), error))?;
        let mut file: Self = toml::from_str(&text)
            .map_err(|error| BadFile::Syntax(path.to_owned(), Box::new(error)))?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        for path in [
            &mut file.token_file,
            &mut file.webhook_secret_file,
            &mut file.relay_ca,
            &mut file.state_dir,
        ] {
            *path = path.take().map(|path| directory.join(path));
        }
        let is_word = |path: &Path| path == Path::new("on") || path == Path::new("off");
        if let Some(path) = file.inspect_store.as_mut().filter(|path| !is_word(path)) {
            *path = directory.join(&*path);
        }
        Ok(file)
    }
}

/// Why there is no configuration file.
#[derive(Debug, Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// It is no TOML, or has a key or value that is not known.
    #[error("{0} is not as it should be")]
    Syntax(PathBuf, #[source] Box<toml::de::Error>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_keys_and_bad_ports_are_named() {
        let error = read("relay = 'a'\ntoken = 'b'\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("`token`"),
            "{error}"
        );
        let error = read("[[tunnel]]\nprot = 3000\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("`prot`"),
            "{error}"
        );
        assert!(read("[[tunnel]]\nport = 0\n").is_err());
        assert!(read("[[tunnel]]\nport = 70000\n").is_err());
    }

    #[test]
    fn paths_count_from_the_file() {
        let path = std::env::temp_dir().join(format!("adit-file-{}.toml", std::process::id()));
        fs::write(&path, "token-file = 'secret/token'\nstate-dir = '/state'\n").unwrap();
        let file = File::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let expected = path.parent().unwrap().join("secret/token");
        assert_eq!(file.token_file.unwrap(), expected);
        assert_eq!(file.state_dir.unwrap(), Path::new("/state"));
    }
}
