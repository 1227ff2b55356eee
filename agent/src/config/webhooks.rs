//! Which webhooks must be genuine, and what else is done for them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use adit_shared::webhook::key::from_hex;
use adit_shared::webhook::table::{ALIASES, PROVIDERS};
use adit_shared::webhook::{Provider, Secret, provider};
use thiserror::Error;

use super::token::is_exposed;

/// What is done for the webhooks of a tunnel.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Which requests must be genuine. None is asked of when there is no rule.
    pub rules: Vec<Rule>,
    /// What becomes of an event that has come before.
    pub duplicates: Duplicates,
    /// For how long an event is remembered.
    pub window: Duration,
    /// When the agent answers a provider that asks whether the endpoint is the right one.
    pub challenges: Challenges,
    /// How many bytes of a request are read before the origin gets it.
    pub limit: usize,
    /// Whether what the relay has kept is signed anew, if it is genuine.
    pub sign_anew: bool,
    /// What is signed anew is signed with, by the names of providers: of those that have secrets of their own.
    pub signing: BTreeMap<&'static str, Secret>,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            duplicates: Duplicates::Mark,
            window: WINDOW,
            challenges: Challenges::Down,
            limit: LIMIT,
            sign_anew: false,
            signing: BTreeMap::new(),
        }
    }
}

/// Requests that must be genuine.
#[derive(Clone, Debug)]
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

/// What becomes of an event that has come before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duplicates {
    /// The origin is told how often it has come.
    Mark,
    /// The origin does not see it again, and the first answer is given again.
    Drop,
    /// Nothing is remembered.
    Off,
}

impl FromStr for Duplicates {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "mark" => Ok(Self::Mark),
            "drop" => Ok(Self::Drop),
            "off" => Ok(Self::Off),
            _ => Err("this is none of mark, drop and off"),
        }
    }
}

/// When challenges are answered here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Challenges {
    /// While the origin cannot be connected to.
    Down,
    /// Always.
    Always,
    /// Never, but for what `enforce` would otherwise refuse.
    Off,
}

impl FromStr for Challenges {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "down" => Ok(Self::Down),
            "always" => Ok(Self::Always),
            "off" => Ok(Self::Off),
            _ => Err("this is none of down, always and off"),
        }
    }
}

/// Paths: all, one, or those that begin in one way (`/hooks/*`).
///
/// A path is sent on as the visitor wrote it, yet servers take many spellings for one: `/Hooks//a/`, `/hooks/%61`,
/// `/x/../hooks/a`. A rule is for all of these, or it could be evaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathPattern {
    path: String,
    is_start: bool,
}

impl PathPattern {
    /// Whether `path` may be taken for one of them.
    pub fn matches(&self, path: &str) -> bool {
        if self.is_start && self.path.is_empty() {
            return true;
        }
        let path = plain(path);
        if self.is_start {
            path.starts_with(&self.path)
        } else {
            path == self.path
        }
    }
}

/// A path in the one spelling that stands for all.
fn plain(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let Some((byte, rest)) = left.split_first() {
        let code = rest.get(..2).filter(|_| *byte == b'%').and_then(from_hex);
        left = if code.is_some() { &rest[2..] } else { rest };
        bytes.push(code.map_or(*byte, |code| code[0]));
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        // What stands behind a semicolon are parameters to some servers.
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

impl FromStr for PathPattern {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        if text == "*" {
            return Ok(Self {
                path: String::new(),
                is_start: true,
            });
        }
        if !text.starts_with('/') {
            return Err(BadPath(text.to_owned()));
        }
        let (start, is_start) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let mut path = plain(start);
        if is_start && start.ends_with('/') && path != "/" {
            path.push('/');
        }
        Ok(Self { path, is_start })
    }
}

/// The text is no path.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0:?} is no path: it begins with a slash, and may end with `*`")]
pub struct BadPath(String);

/// A rule as it is typed: `PROVIDER[=enforce|tag][:/PATH]`.
pub(super) struct Typed {
    /// The provider, as it was called.
    pub(super) name: String,
    pub(super) provider: &'static Provider,
    pub(super) mode: Mode,
    pub(super) path: PathPattern,
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
        if found.schemes.is_empty() {
            return Err(BadRule::Unchecked(found.name));
        }
        Ok(Self {
            name: name.to_owned(),
            provider: found,
            mode,
            path: path.parse()?,
        })
    }
}

/// Why there is no rule.
#[derive(Debug, Error)]
pub(super) enum BadRule {
    #[error("{0:?} is no provider that is known; `agent webhook list` shows them")]
    Provider(String),
    #[error("webhooks of {0} are recognised and cannot be verified")]
    Unchecked(&'static str),
    #[error("{0:?} is neither `enforce` nor `tag`")]
    Mode(String),
    #[error(transparent)]
    Path(#[from] BadPath),
    #[error(
        "{0} needs its secret: set ADIT_WEBHOOK_SECRET_{1} or ADIT_WEBHOOK_SECRET, or give \
         --webhook-secret-file FILE"
    )]
    NoSecret(String, String),
    #[error("the secret of {0} is not written as its secrets are")]
    Secret(&'static str),
    #[error("64MiB is the most: so much is kept of all webhooks together")]
    Limit,
    #[error("`drop` needs --verify: anybody could otherwise have an event dropped")]
    Drop,
    #[error("it needs --verify: only what is known to be genuine is signed anew")]
    SignAnew,
}

/// All secrets that were given. None is ever shown.
#[derive(Default)]
pub(super) struct Secrets {
    /// Those of the environment, by the name of a provider.
    named: BTreeMap<&'static str, Vec<Secret>>,
    any: Vec<Secret>,
}

impl Secrets {
    /// Those of the environment.
    pub(super) fn collect(variable: impl Fn(&str) -> Option<String>) -> Self {
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
    pub(super) fn own(&self, file: Option<&SecretFile>) -> BTreeMap<&'static str, Secret> {
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
    pub(super) fn of(
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
pub(crate) struct SecretFile(Vec<(Option<String>, Secret)>);

impl SecretFile {
    /// Reads a file. Warns when others can read it.
    pub(crate) fn read(path: &Path) -> Result<Self, BadSecretFile> {
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
    pub(crate) fn of(&self, names: &[&str]) -> Vec<Secret> {
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

/// Most senders give an event up within a day; a person who sends one again does it within hours.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// Twenty-five times what Shopify sends at most, and small beside what the budget for all is.
const LIMIT: usize = 1 << 20;
/// Bytes of webhooks that are kept at a time while they are verified, of all tunnels together.
pub(crate) const BUDGET: usize = 64 << 20;
/// How much of a file of secrets is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

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
            ("paypal", "cannot be verified"),
            ("github=maybe", "neither `enforce` nor `tag`"),
            ("github:hooks", "no path"),
        ] {
            let error = typed(bad).err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn another_spelling_of_a_path_evades_no_rule() {
        let one: PathPattern = "/Hooks/pay".parse().unwrap();
        let start: PathPattern = "/hooks/*".parse().unwrap();
        for path in [
            "/hooks/pay",
            "/hooks/pay/",
            "//hooks///pay",
            "/HOOKS/pay",
            "/h%6Foks%2fpay",
            "/a/../hooks/./pay",
            "/hooks\\pay",
            "/hooks;v=1/pay;x",
        ] {
            assert!(one.matches(path) && start.matches(path), "{path}");
        }
        for path in [
            "/",
            "/hooks",
            "/hooks/paying",
            "/hooks/pay/x",
            "/%zzhooks/pay%",
        ] {
            assert!(!one.matches(path), "{path}");
        }
        assert!(!start.matches("/hooksy"));
        let all: PathPattern = "*".parse().unwrap();
        assert!(all.matches("*") && all.matches("/"));
        let root: PathPattern = "/*".parse().unwrap();
        assert!(root.matches("/") && root.matches("/a"));
        assert!("hooks".parse::<PathPattern>().is_err());
    }

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
