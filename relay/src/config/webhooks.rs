//! Which webhooks must be genuine before an agent or an inbox gets them: the tables `[[webhook]]` of the file.
//!
//! The secrets are in files or in the environment, where agents have theirs.

use std::path::{Path, PathBuf};

use adit_shared::quantity::{Size, Span};
use adit_shared::webhook::Rule;
use adit_shared::webhook::rule::Typed;
use adit_shared::webhook::secrets::{SecretFile, Secrets};
use serde::Deserialize;

use super::ConfigError;
use super::file::{text, texts};
use crate::auth::pattern::Pattern;

/// The rules for some hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhooks {
    /// Names or hosts.
    pub hosts: Pattern,
    /// What must be genuine; at least one rule.
    pub rules: Vec<Rule>,
    /// How many bytes of a body are read to find out.
    pub limit: usize,
}

/// A table as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(default, deserialize_with = "text")]
    host: Option<Pattern>,
    #[serde(deserialize_with = "texts")]
    verify: Vec<Typed>,
    pub(super) secret_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "text")]
    tolerance: Option<Span>,
    #[serde(default, deserialize_with = "text")]
    limit: Option<Size>,
}

/// What the tables of the file at `path` say.
pub(super) fn webhooks(
    tables: Vec<File>,
    path: Option<&Path>,
) -> Result<Vec<Webhooks>, ConfigError> {
    let path = path.unwrap_or_else(|| Path::new(""));
    let environment = Secrets::collect(|name| std::env::var(name).ok());
    let one = |table: File| {
        if table.verify.is_empty() {
            return Err(ConfigError::NoRule(path.to_owned()));
        }
        let file = table.secret_file.as_deref().map(SecretFile::read);
        let file = file.transpose();
        let file = file.map_err(|error| ConfigError::WebhookSecrets(path.to_owned(), error))?;
        let tolerance = table.tolerance.map(|span| span.0);
        let rules = table.verify.into_iter();
        let rules = rules.map(|typed| typed.rule(&environment, file.as_ref(), tolerance));
        let rules: Result<_, _> = rules.collect();
        let limit = table.limit.map_or(LIMIT, |size| size.0);
        if !(1..=MOST).contains(&limit) {
            return Err(ConfigError::OutOfRange {
                key: "webhook.limit",
                file: Some(path.to_owned()),
                least: 1,
                most: MOST,
            });
        }
        Ok(Webhooks {
            hosts: table.host.unwrap_or_else(Pattern::everything),
            rules: rules.map_err(|error| ConfigError::Webhook(path.to_owned(), error))?,
            limit,
        })
    };
    tables.into_iter().map(one).collect()
}

/// As at the agent.
const LIMIT: usize = 1 << 20;
/// A quarter of what all such bodies together may have.
const MOST: usize = 16 << 20;
