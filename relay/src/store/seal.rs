//! Secrets at rest: what a copy of the database alone must not give away is sealed with a key that
//! is kept in a file beside it.
//!
//! AES-256-GCM with a random nonce in front. What a secret is for is bound to it, so that one cannot
//! be put in the place of another.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use thiserror::Error;

use super::directory::{self, Readers};

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Seal(Arc<Keys>);

struct Keys {
    sealing: RandomizedNonceKey,
    /// Made from the other, so that neither can stand for the other.
    marking: hmac::Key,
}

impl Seal {
    /// With the key in `state_dir`, which is made when there is none.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the file cannot be read or made, or holds something else.
    pub fn of(state_dir: &Path) -> Result<Self, SealError> {
        let path = state_dir.join(FILE);
        let make = || {
            let mut key = [0; KEY];
            rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
            Ok(HEXLOWER.encode(&key))
        };
        let keep = |error| SealError::Keep(path.clone(), error);
        directory::create(state_dir).map_err(keep)?;
        let text = directory::read_or_create(&path, Readers::Owner, make).map_err(keep)?;
        let spoiled = || SealError::Spoiled(path.clone());
        let key = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
        let key: [u8; KEY] = key
            .ok()
            .and_then(|key| key.try_into().ok())
            .ok_or_else(spoiled)?;
        let marking = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), MARKING);
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &key);
        Ok(Self(Arc::new(Keys {
            sealing: sealing.map_err(|_| spoiled())?,
            marking: hmac::Key::new(hmac::HMAC_SHA256, marking.as_ref()),
        })))
    }

    /// Seals a secret that is for `what`.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`].
    pub fn seal(&self, what: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut bytes = secret.to_vec();
        let nonce = self
            .0
            .sealing
            .seal_in_place_append_tag(Aad::from(what), &mut bytes)
            .map_err(|_| SealError::Random)?;
        Ok([&nonce.as_ref()[..], &bytes].concat())
    }

    /// Opens what was sealed for `what`.
    ///
    /// # Errors
    ///
    /// [`SealError::Closed`] with another key, for another purpose, or when it was changed.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, secret) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(SealError::Closed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Closed)?;
        let mut bytes = secret.to_vec();
        let secret = &self.0.sealing;
        let secret = secret.open_in_place(nonce, Aad::from(what), &mut bytes);
        Ok(secret.map_err(|_| SealError::Closed)?.to_vec())
    }

    /// A number for `text`, the same each time, from which nobody without the key can tell it.
    pub fn mark(&self, what: &str, text: &str) -> i64 {
        let mut content = hmac::Context::with_key(&self.0.marking);
        for part in [what.as_bytes(), b"\0", text.as_bytes()] {
            content.update(part);
        }
        let tag = content.sign();
        let first = tag.as_ref().first_chunk().copied();
        i64::from_be_bytes(first.unwrap_or_default())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Why a secret is not sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The file of the key cannot be read or made.
    #[error("cannot keep {0}")]
    Keep(PathBuf, #[source] io::Error),
    /// The file holds no key.
    #[error("{0} holds no key; restore it, or move it away to begin with a new one")]
    Spoiled(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// It was not sealed with this key for this purpose.
    #[error("it was sealed with another key than the one in {FILE} of the state directory")]
    Closed,
}

/// What the key of marks is made for.
const MARKING: &[u8] = b"adit marks";
/// The file of the key, in the state directory.
const FILE: &str = "seal.key";
/// Bytes of the key.
const KEY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::Scratch;

    #[test]
    fn what_was_sealed_opens_with_the_same_key_for_the_same_purpose_only() {
        let dir = Scratch::new();
        let sealed = Seal::of(dir.path()).unwrap().seal("a", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        let again = Seal::of(dir.path()).unwrap();
        assert_eq!(again.open("a", &sealed).unwrap(), b"secret");
        assert!(again.open("b", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(again.open("a", &changed).is_err(), "{at}");
            assert!(again.open("a", &sealed[..at]).is_err(), "{at}");
        }
        let other = Scratch::new();
        assert!(Seal::of(other.path()).unwrap().open("a", &sealed).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_and_nonsense_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Scratch::new();
        Seal::of(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(Seal::of(dir.path()), Err(SealError::Spoiled(_))));
    }
}
