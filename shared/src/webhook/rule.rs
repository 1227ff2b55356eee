//! Rules: which requests must be genuine, and what becomes of others.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::find::provider;
use super::key::Secret;
use super::path::{BadPath, PathPattern};
use super::scheme::Provider;
use super::secrets::{SecretFile, Secrets};

/// Requests that must be genuine.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Who must have signed them.
    pub provider: &'static Provider,
    /// What becomes of others.
    pub mode: Mode,
    /// Which requests: those with this path.
    pub path: PathPattern,
    /// What they are signed with, any of these.
    pub secrets: Vec<Secret>,
    /// How old a signature may be, instead of what the provider says.
    pub tolerance: Option<Duration>,
}

/// What becomes of requests that are not genuine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The origin never sees them.
    Enforce,
    /// The origin is told of those that are.
    Tag,
}

/// A rule as it is typed: `PROVIDER[=enforce|tag][:/PATH]`.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The provider, as it was called.
    pub name: String,
    /// Who that is.
    pub provider: &'static Provider,
    /// What becomes of what it did not sign.
    pub mode: Mode,
    /// For which paths.
    pub path: PathPattern,
}

impl FromStr for Typed {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let (rest, path) = match text.split_once(':') {
            Some((rest, path)) => (rest, path),
            None => (text, "*"),
        };
        let (name, mode) = rest.split_once('=').unwrap_or((rest, "enforce"));
        let mode = match mode {
            "enforce" => Mode::Enforce,
            "tag" => Mode::Tag,
            _ => return Err(BadRule::Mode(mode.to_owned())),
        };
        let found = provider(name).ok_or_else(|| BadRule::Provider(name.to_owned()))?;
        Ok(Self {
            name: name.to_owned(),
            provider: found,
            mode,
            path: path.parse()?,
        })
    }
}

impl Typed {
    /// The rule, with its secrets, of which at least one is known.
    ///
    /// # Errors
    ///
    /// [`BadRule`] when there is none.
    pub fn rule(
        self,
        secrets: &Secrets,
        file: Option<&SecretFile>,
        tolerance: Option<Duration>,
    ) -> Result<Rule, BadRule> {
        let secrets = secrets.of(&self.name, self.provider, file)?;
        Ok(Rule {
            provider: self.provider,
            mode: self.mode,
            path: self.path,
            secrets,
            tolerance,
        })
    }
}

/// Why there is no rule.
#[derive(Debug, Error)]
pub enum BadRule {
    /// No such provider.
    #[error("{0:?} is no provider that is known; `agent webhook list` shows them")]
    Provider(String),
    /// No such mode.
    #[error("{0:?} is neither `enforce` nor `tag`")]
    Mode(String),
    /// No path.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// There is nothing to check it with.
    #[error(
        "{0} needs its secret: set ADIT_WEBHOOK_SECRET_{1} or ADIT_WEBHOOK_SECRET, or name a file \
         of secrets"
    )]
    NoSecret(String, String),
    /// What there is cannot be a secret of it.
    #[error("the secret of {0} is not written as its secrets are")]
    Secret(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_provider_with_a_mode_and_a_path() {
        let typed = |text: &str| text.parse::<Typed>();
        let rule = typed("github").unwrap();
        assert_eq!((rule.provider.name, rule.mode), ("github", Mode::Enforce));
        assert!(rule.path.matches("/anything"));
        let rule = typed("clerk=tag:/hooks/*").unwrap();
        assert_eq!((rule.provider.name, rule.mode), ("svix", Mode::Tag));
        assert!(rule.path.matches("/hooks/a") && !rule.path.matches("/hook"));
        let rule = typed("stripe:/hook").unwrap();
        assert!(rule.path.matches("/hook") && !rule.path.matches("/hooks"));
        for (bad, why) in [
            ("gihub", "no provider"),
            ("github=maybe", "neither `enforce` nor `tag`"),
            ("github:hooks", "no path"),
        ] {
            let error = typed(bad).err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
