//! The secrets that somebody has given, in variables of the environment or in a file: never on a command line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::find::provider;
use super::key::Secret;
use super::rule::BadRule;
use super::scheme::Provider;
use super::table::{ALIASES, PROVIDERS};
use crate::files::is_exposed;

/// All secrets that were given. None is ever shown.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Those of the environment, by the name of a provider.
    named: BTreeMap<&'static str, Vec<Secret>>,
    any: Vec<Secret>,
}

impl Secrets {
    /// Those of the environment.
    pub fn collect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut secrets = Self::default();
        for name in names() {
            if let Some(text) = variable(&format!("ADIT_WEBHOOK_SECRET_{}", upper(name))) {
                secrets.named.insert(name, split(&text));
            }
        }
        secrets.any = split(&variable("ADIT_WEBHOOK_SECRET").unwrap_or_default());
        secrets
    }

    /// One for each provider that has some of its own.
    pub fn own(&self, file: Option<&SecretFile>) -> BTreeMap<&'static str, Secret> {
        let mut own = BTreeMap::new();
        for name in names() {
            let Some(provider) = provider(name) else {
                continue;
            };
            let named = self.named.get(name).and_then(|secrets| secrets.first());
            let filed = || file.and_then(|file| file.own(name));
            if let Some(secret) = named.or_else(filed).filter(|secret| secret.fits(provider)) {
                own.insert(provider.name, secret.clone());
            }
        }
        own
    }

    /// Those for a provider that was called `name`: its own before those for any, and a file's before those
    /// for any in the environment.
    ///
    /// # Errors
    ///
    /// [`BadRule`] when there are none, or such as cannot be.
    pub fn of(
        &self,
        name: &str,
        provider: &'static Provider,
        file: Option<&SecretFile>,
    ) -> Result<Vec<Secret>, BadRule> {
        let own = [name, provider.name];
        let named = own.iter().find_map(|name| self.named.get(name));
        let named = named.filter(|secrets| !secrets.is_empty()).cloned();
        let filed = || file.map(|file| file.of(&own));
        let secrets = named
            .or_else(|| filed().filter(|secrets| !secrets.is_empty()))
            .unwrap_or_else(|| self.any.clone());
        if secrets.is_empty() {
            return Err(BadRule::NoSecret(name.to_owned(), upper(name)));
        }
        if secrets.iter().any(|secret| !secret.fits(provider)) {
            return Err(BadRule::Secret(provider.name));
        }
        Ok(secrets)
    }
}

/// Secrets in a file: on each line one, behind the name of its provider and a space, or alone.
#[derive(Debug)]
pub struct SecretFile(Vec<(Option<String>, Secret)>);

impl SecretFile {
    /// Reads a file. Warns when others can read it.
    ///
    /// # Errors
    ///
    /// [`BadSecretFile`].
    pub fn read(path: &Path) -> Result<Self, BadSecretFile> {
        let failed = |error| BadSecretFile::Read(path.to_owned(), error);
        let file = fs::File::open(path).map_err(failed)?;
        if is_exposed(path, &file.metadata().map_err(failed)?) {
            tracing::warn!(
                path = %path.display(),
                "others can read the webhook secrets; mend it with: chmod 600 {}",
                path.display()
            );
        }
        let mut text = String::new();
        let read = file.take(MAX_FILE).read_to_string(&mut text);
        read.map_err(failed)?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut secrets = Vec::new();
        for line in lines {
            let words: Vec<_> = line.split_whitespace().collect();
            let (name, secret) = match words[..] {
                [secret] => (None, secret),
                [name, secret] if provider(name).is_some() => (Some(name.to_owned()), secret),
                _ => return Err(BadSecretFile::Line(path.to_owned())),
            };
            secrets.extend(Secret::new(secret).map(|secret| (name, secret)));
        }
        if secrets.is_empty() {
            return Err(BadSecretFile::Empty(path.to_owned()));
        }
        Ok(Self(secrets))
    }

    /// The first of the provider with this name.
    fn own(&self, name: &str) -> Option<&Secret> {
        let mut own = self
            .0
            .iter()
            .filter(|(one, _)| one.as_deref() == Some(name));
        own.next().map(|(_, secret)| secret)
    }

    /// Those of a provider with these names, or else those of none.
    pub fn of(&self, names: &[&str]) -> Vec<Secret> {
        let is_own =
            |name: &Option<String>| name.as_deref().is_some_and(|name| names.contains(&name));
        let pick = |keep: &dyn Fn(&Option<String>) -> bool| -> Vec<Secret> {
            let kept = self.0.iter().filter(|(name, _)| keep(name));
            kept.map(|(_, secret)| secret.clone()).collect()
        };
        let own = pick(&is_own);
        if own.is_empty() {
            pick(&|name| name.is_none())
        } else {
            own
        }
    }
}

/// Why a file gives no secrets. The text never holds one.
#[derive(Debug, Error)]
pub enum BadSecretFile {
    /// It cannot be read.
    #[error("cannot read the secrets in {0}")]
    Read(PathBuf, #[source] io::Error),
    /// It holds something else.
    #[error("{0} has a line that is neither a secret nor a provider and its secret")]
    Line(PathBuf),
    /// It holds nothing.
    #[error("{0} holds no secret")]
    Empty(PathBuf),
}

/// The secrets in a variable, with white space between them.
fn split(text: &str) -> Vec<Secret> {
    text.split_whitespace().filter_map(Secret::new).collect()
}

/// A provider's name as part of a variable's.
fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// All names of providers.
fn names() -> impl Iterator<Item = &'static str> {
    let own = PROVIDERS.iter().map(|provider| provider.name);
    own.chain(ALIASES.iter().map(|(alias, _)| *alias))
}

/// How much of a file of secrets is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_own_secrets_come_before_those_for_any() {
        let path = std::env::temp_dir().join(format!("adit-secrets-{}", std::process::id()));
        fs::write(
            &path,
            "# new, then old\nstripe whsec_2\nstripe whsec_1\nany\n",
        )
        .unwrap();
        let file = SecretFile::read(&path).unwrap();
        let secrets = Secrets::collect(|name| match name {
            "ADIT_WEBHOOK_SECRET" => Some("fallback".into()),
            "ADIT_WEBHOOK_SECRET_GITHUB" => Some("new old".into()),
            _ => None,
        });
        let of = |name: &str, file| {
            let found = secrets.of(name, provider(name).unwrap(), file).unwrap();
            let texts = found.iter().map(|secret| secret.reveal().to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(of("github", Some(&file)), ["new", "old"]);
        assert_eq!(of("stripe", Some(&file)), ["whsec_2", "whsec_1"]);
        assert_eq!(of("slack", Some(&file)), ["any"]);
        assert_eq!(of("slack", None), ["fallback"]);
        let bad = secrets.of("discord", provider("discord").unwrap(), None);
        assert!(matches!(bad, Err(BadRule::Secret("discord"))));
        let none = Secrets::default().of("openai", provider("openai").unwrap(), None);
        let error = none.unwrap_err().to_string();
        assert!(error.contains("ADIT_WEBHOOK_SECRET_OPENAI"), "{error}");
        fs::write(&path, "stripe whsec_1 whsec_canary\n").unwrap();
        let error = SecretFile::read(&path).err().unwrap().to_string();
        assert!(!error.contains("canary"), "{error}");
        fs::remove_file(&path).unwrap();
    }
}
