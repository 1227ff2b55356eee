//! What can be wrong with a configuration, in words for the operator.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use adit_shared::name::Host;
use adit_shared::webhook::rule::BadRule;
use adit_shared::webhook::secrets::BadSecretFile;
use thiserror::Error;

use super::file::UNDERSTOOD;

/// The exit code for a bad configuration (`EX_CONFIG` of sysexits.h).
pub const BAD_CONFIG: u8 = 78;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The file is not what it should be; the text names line, column and key.
    #[error("the configuration file {0} has a mistake\n{text}", text = without_end(.1))]
    Parse(PathBuf, toml::de::Error),
    /// A number is too small or too large.
    #[error("{} must be from {least} to {most}", place(.key, .file))]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The file, unless it is a flag.
        file: Option<PathBuf>,
        /// The smallest number that works.
        least: usize,
        /// The largest number that works.
        most: usize,
    },
    /// A flag `--limit` says something that is no limit.
    #[error("--limit {0}: {text}", text = .1.message())]
    Limit(String, toml::de::Error),
    /// A system where shards cannot share their sockets' addresses.
    #[error("`shards` must be 1: on this system more cannot share one address")]
    NoShards,
    /// A certificate without its key, or the reverse.
    #[error("{} is given without {}", name(.given, .file), name(.missing, .file))]
    HalfCertificate {
        /// The key that is there.
        given: &'static str,
        /// The key that is not.
        missing: &'static str,
        /// The file, unless they are flags.
        file: Option<PathBuf>,
    },
    /// Where to order certificates is not understood.
    #[error("`acme-directory` must be an https:// URL, `production`, `staging` or `off`, not {0}")]
    Directory(String),
    /// One half of what binds an account.
    #[error("`{0}` is given without `{1}`")]
    HalfBinding(&'static str, &'static str),
    /// Several ways to set DNS records.
    #[error("choose one of `acme-dns-hook`, `acme-dns-cloudflare` and `acme-dns-rfc2136`")]
    SeveralDns,
    /// An authority has no way to ask.
    #[error(
        "a certificate authority cannot ask this relay anything with `https` off: let it listen, or \
         set DNS records with --acme-dns-hook, or order no certificates with --acme-directory off"
    )]
    Unreachable,
    /// Two listeners want one address.
    #[error("`{one}` and `{other}` are both {address}: give them different ports")]
    SameAddress {
        /// One key.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// What both say.
        address: SocketAddr,
    },
    /// A public relay without tokens.
    #[error(
        "`open` is refused in public mode: anybody on the internet could put a program of theirs \
         under {0}, and its operator, you, would answer for phishing and worse; make tokens with \
         `relay token create`, or, if this is what you want, say so in a file for --config: \
         open = \"{UNDERSTOOD}\""
    )]
    OpenToAll(Host),
    /// A relay without tokens that others than this machine can reach.
    #[error(
        "`{key}` is {address}, which other machines can reach, and without a domain the relay asks \
         agents for no token: listen on 127.0.0.1, or ask for tokens with --open=false, or, if \
         everybody on that network may publish here, say so in a file for --config: \
         open = \"{UNDERSTOOD}\""
    )]
    OpenToNetwork {
        /// The key.
        key: &'static str,
        /// What it says.
        address: SocketAddr,
    },
    /// A table about webhooks is not understood.
    #[error("`verify` of a `webhook` in {0}")]
    Webhook(PathBuf, #[source] BadRule),
    /// A table about webhooks says nothing.
    #[error("`verify` of a `webhook` in {0} names no provider")]
    NoRule(PathBuf),
    /// The secrets of webhooks cannot be read.
    #[error("`secret-file` of a `webhook` in {0}")]
    WebhookSecrets(PathBuf, #[source] BadSecretFile),
    /// There is no place for the state.
    #[error("there is no home directory to keep state in: give --state-dir")]
    NoHome,
}

/// The text of the TOML library ends its last line.
fn without_end(error: &toml::de::Error) -> String {
    error.to_string().trim_end().to_owned()
}

/// A key, and the file in which it is.
fn place(key: &str, file: &Option<PathBuf>) -> impl fmt::Display {
    match file.as_deref().map(Path::display) {
        Some(file) => format!("`{key}` in {file}"),
        None => format!("`{key}`"),
    }
}

/// A key as it is called where it was given.
fn name(key: &str, file: &Option<PathBuf>) -> impl fmt::Display {
    match file.as_deref().map(Path::display) {
        Some(file) => format!("`{key}` in {file}"),
        None => format!("--{key}"),
    }
}
