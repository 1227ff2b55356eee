//! Who may connect, and which names they may claim.
//!
//! [`Auth`] answers from memory: a check never waits for the disk. What `relay token` changes in
//! another process is taken over by [`Auth::refresh`]. Which identity owns a name is decided
//! elsewhere; here it is only about tokens.

pub mod pattern;
pub mod token;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

pub use self::pattern::Pattern;
pub use self::token::{Token, TokenId};
use crate::store::{Store, StoreError, now, tokens};

/// Decides about tokens. Cheap to clone; all clones know the same.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Mode>);

#[derive(Debug)]
enum Mode {
    Open,
    Tokens { store: Store, known: RwLock<Known> },
}

/// The tokens as they were at a version of the database.
#[derive(Debug, Default)]
struct Known {
    version: Option<i64>,
    tokens: HashMap<TokenId, Entry>,
}

#[derive(Debug)]
struct Entry {
    hash: [u8; 32],
    names: Vec<Pattern>,
    revoked: bool,
}

impl Auth {
    /// Everybody may connect and claim anything; tokens are not looked at.
    pub fn open() -> Self {
        Self(Arc::new(Mode::Open))
    }

    /// Only who has a token of `store` may connect. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the tokens cannot be read.
    pub async fn load(store: Store) -> Result<Self, StoreError> {
        let auth = Self(Arc::new(Mode::Tokens {
            store,
            known: RwLock::default(),
        }));
        auth.refresh().await?;
        Ok(auth)
    }

    /// Whether everybody may connect.
    pub fn is_open(&self) -> bool {
        matches!(*self.0, Mode::Open)
    }

    /// What the owner of `token` may do. The text is what an agent sent; it may be empty.
    ///
    /// # Errors
    ///
    /// [`Denied`], whose text is for the agent's user.
    pub fn check(&self, token: &str) -> Result<Grant, Denied> {
        let Mode::Tokens { known, .. } = &*self.0 else {
            return Ok(Grant {
                token: None,
                names: vec![Pattern::everything()],
            });
        };
        if token.trim().is_empty() {
            return Err(Denied::Missing);
        }
        let token: Token = token.parse().map_err(Denied::Malformed)?;
        let known = known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.tokens.get(&token.id()).ok_or(Denied::Unknown)?;
        if !token.is_of(&entry.hash) {
            return Err(Denied::Unknown);
        }
        if entry.revoked {
            return Err(Denied::Revoked);
        }
        Ok(Grant {
            token: Some(token.id()),
            names: entry.names.clone(),
        })
    }

    /// Takes over what another process changed, and says which tokens are good no longer: their
    /// sessions must be closed. Costs next to nothing when nothing changed. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then what was known before stays known.
    pub async fn refresh(&self) -> Result<Vec<TokenId>, StoreError> {
        let Mode::Tokens { store, known } = &*self.0 else {
            return Ok(Vec::new());
        };
        let before = known.read().unwrap_or_else(PoisonError::into_inner).version;
        let version = store.call(|db| tokens::version(db)).await?;
        if before == Some(version) {
            return Ok(Vec::new());
        }
        self.reload().await
    }

    /// As [`refresh`](Self::refresh), also after a change that this process made, which the
    /// database's version does not show. Safe to drop: then what was known before stays known.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then what was known before stays known.
    pub async fn reload(&self) -> Result<Vec<TokenId>, StoreError> {
        let Mode::Tokens { store, known } = &*self.0 else {
            return Ok(Vec::new());
        };
        // The version comes first: a change that falls between the two is read twice, not missed.
        let (version, records) = store
            .call(|db| Ok((tokens::version(db)?, tokens::all(db)?)))
            .await?;
        let fresh = Known {
            version: Some(version),
            tokens: records.iter().filter_map(entry).collect(),
        };
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        let is_good = |known: &Known, id| known.tokens.get(id).is_some_and(|e| !e.revoked);
        let ended = known.tokens.keys();
        let ended = ended.filter(|id| is_good(&known, id) && !is_good(&fresh, id));
        let ended = ended.copied().collect();
        *known = fresh;
        Ok(ended)
    }

    /// Whether the token allows anything, as far as is known.
    pub fn is_good(&self, token: TokenId) -> bool {
        let Mode::Tokens { known, .. } = &*self.0 else {
            return true;
        };
        let known = known.read().unwrap_or_else(PoisonError::into_inner);
        known.tokens.get(&token).is_some_and(|entry| !entry.revoked)
    }

    /// Notes for `relay token list` that an agent came with the token. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing but the list suffers.
    pub async fn note_use(&self, token: TokenId) -> Result<(), StoreError> {
        let Mode::Tokens { store, .. } = &*self.0 else {
            return Ok(());
        };
        store
            .call(move |db| tokens::touch(db, token.as_str(), now()))
            .await
    }
}

/// What somebody may do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The token that allows it; none on an open relay.
    pub token: Option<TokenId>,
    /// The names and own hosts that may be claimed.
    pub names: Vec<Pattern>,
}

impl Grant {
    /// Whether this name or own host may be claimed.
    pub fn allows(&self, name_or_host: &str) -> bool {
        self.names.iter().any(|names| names.matches(name_or_host))
    }
}

/// Why somebody may not connect, in words for them.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Denied {
    /// No token came.
    #[error(
        "this relay asks for a token: have its operator run `relay token create`, then give it \
         with --token-file or in ADIT_TOKEN"
    )]
    Missing,
    /// What came is not a token.
    #[error("{0}")]
    Malformed(token::BadToken),
    /// A token, but none of this relay.
    #[error(
        "this relay does not know the token: check that it was made on this relay, or ask its \
         operator for a new one"
    )]
    Unknown,
    /// It was good once.
    #[error("the token was revoked: ask the operator of the relay for a new one")]
    Revoked,
}

/// What is needed of a record. Somebody may have edited it: what is not understood allows nothing.
fn entry(record: &tokens::Record) -> Option<(TokenId, Entry)> {
    let Ok(id) = record.id.parse() else {
        tracing::warn!(id = record.id, "a token in the database has a malformed id");
        return None;
    };
    let pattern = |text: &String| {
        text.parse()
            .inspect_err(|error| {
                tracing::warn!(token = %id, pattern = text, %error, "a token has a malformed pattern");
            })
            .ok()
    };
    let entry = Entry {
        hash: record.hash,
        names: record.names.iter().filter_map(pattern).collect(),
        revoked: record.revoked_at.is_some(),
    };
    Some((id, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use crate::store::directory::Scratch;

    fn record(token: &Token, names: &[&str]) -> tokens::Record {
        tokens::Record {
            id: token.id().to_string(),
            hash: token.hash(),
            label: String::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            created_at: now(),
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[tokio::test]
    async fn a_token_made_and_revoked_by_another_process_is_noticed() {
        let dir = Scratch::new();
        let auth = Auth::load(Store::open(dir.path()).unwrap()).await.unwrap();
        let other = connect(dir.path()).unwrap();
        let token = Token::generate().unwrap();
        assert_eq!(auth.check(token.reveal()), Err(Denied::Unknown));

        let new = record(&token, &["app-*", "a.*", "*.customer.com"]);
        tokens::create(&other, &new).unwrap();
        assert_eq!(auth.refresh().await.unwrap(), []);
        let grant = auth.check(token.reveal()).unwrap();
        assert_eq!(grant.token, Some(token.id()));
        assert!(grant.allows("app-1") && grant.allows("x.customer.com"));
        assert!(!grant.allows("other") && !grant.allows("a.com"));

        let id = token.id();
        assert!(tokens::revoke(&other, id.as_str(), now()).unwrap());
        assert_eq!(auth.refresh().await.unwrap(), [id]);
        assert_eq!(auth.refresh().await.unwrap(), []);
        assert_eq!(auth.check(token.reveal()), Err(Denied::Revoked));
    }

    #[tokio::test]
    async fn each_bad_token_is_told_what_to_do() {
        let store = Store::open_in_memory().unwrap();
        let (mine, stranger) = (Token::generate().unwrap(), Token::generate().unwrap());
        let new = record(&mine, &["*"]);
        store
            .call(move |db| tokens::create(db, &new))
            .await
            .unwrap();
        let auth = Auth::load(store).await.unwrap();
        assert!(!auth.is_open());
        assert_eq!(auth.check(" "), Err(Denied::Missing));
        assert_eq!(auth.check(stranger.reveal()), Err(Denied::Unknown));
        assert!(matches!(auth.check("adit_x"), Err(Denied::Malformed(_))));
        let error = auth.check("hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"));
        assert!(auth.check(mine.reveal()).unwrap().allows("anything"));
        assert!(!auth.check(mine.reveal()).unwrap().allows("example.com"));
    }

    #[tokio::test]
    async fn an_id_alone_opens_nothing() {
        let store = Store::open_in_memory().unwrap();
        let (mine, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        let mut new = record(&mine, &["*"]);
        new.hash = other.hash();
        store
            .call(move |db| tokens::create(db, &new))
            .await
            .unwrap();
        let auth = Auth::load(store).await.unwrap();
        assert_eq!(auth.check(mine.reveal()), Err(Denied::Unknown));
    }

    #[tokio::test]
    async fn an_open_relay_looks_at_no_token() {
        let auth = Auth::open();
        for token in ["", "hunter2"] {
            let grant = auth.check(token).unwrap();
            assert_eq!(grant.token, None);
            assert!(grant.allows("app") && grant.allows("app.customer.com"));
        }
        assert_eq!(auth.refresh().await.unwrap(), []);
    }
}
