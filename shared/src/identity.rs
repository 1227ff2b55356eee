//! The Ed25519 key pair by which a relay knows an agent.
//!
//! It is made on first run and kept in the agent's state directory. It proves who is back, not who
//! may come: that is what a token is for.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::HEXLOWER;
use thiserror::Error;

/// An agent's own key pair.
pub struct Identity {
    key: Ed25519KeyPair,
}

impl Identity {
    /// A new key pair that is kept nowhere.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Random`] when the system gives no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let key = Ed25519KeyPair::generate().map_err(|_| IdentityError::Random)?;
        Ok(Self { key })
    }

    /// Reads the key pair in `path`, or makes one there that only its owner may read.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; a file that is no key is never overwritten.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match fs::read(path) {
            Ok(bytes) => Self::parse(&bytes, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Self::generate()?;
                let pkcs8 = identity
                    .key
                    .to_pkcs8v1()
                    .map_err(|_| IdentityError::Random)?;
                match create_private(path, pkcs8.as_ref()) {
                    Ok(()) => Ok(identity),
                    // Another process had its first run at the same moment: its key is ours too.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        let bytes = fs::read(path);
                        let bytes = bytes.map_err(|e| IdentityError::Read(path.to_owned(), e))?;
                        Self::parse(&bytes, path)
                    }
                    Err(error) => Err(IdentityError::Write(path.to_owned(), error)),
                }
            }
            Err(error) => Err(IdentityError::Read(path.to_owned(), error)),
        }
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, IdentityError> {
        let key = Ed25519KeyPair::from_pkcs8(bytes)
            .map_err(|_| IdentityError::NotAKey(path.to_owned()))?;
        Ok(Self { key })
    }

    /// The raw public key.
    pub fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.key.public_key().as_ref());
        key
    }

    /// The name that follows from this key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.public_key())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.key.sign(message).as_ref());
        signature
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

/// Whether `signature` over `message` was made by the owner of `key`.
pub fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key)
        .verify(message, signature)
        .is_ok()
}

/// SHA-256 over the DER SubjectPublicKeyInfo of an identity's key; names the agent.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a raw public key.
    pub fn of(key: &[u8; 32]) -> Self {
        let spki = [&ED25519_SPKI_PREFIX[..], key].concat();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, &spki).as_ref());
        Self(bytes)
    }

    /// The fingerprint as bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    /// The first 16 hex digits: enough to tell agents apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0[..8]).fmt(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read the identity in {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The file is something else.
    #[error("{0} is not an identity; move it away to have a new one made")]
    NotAKey(PathBuf),
    /// The new key cannot be kept.
    #[error("cannot write the identity to {0}")]
    Write(PathBuf, #[source] io::Error),
    /// The system gives no randomness.
    #[error("the system gives no randomness for a key")]
    Random,
}

/// Writes a new file that only its owner may read, with the directories above it. The name appears
/// only when the contents are on disk, and never replaces a file.
///
/// # Errors
///
/// Whatever the file system says; `AlreadyExists` when there is a file.
pub fn create_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory)?;
    }
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("draft-{}-{count}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&draft)?;
    file.write_all(contents)?;
    file.sync_all()?;
    // Unlike a rename, a link never replaces what somebody else has put there meanwhile.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked
}

/// `SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }` up to the key (RFC 8410 section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept_and_private() {
        let dir = std::env::temp_dir().join(format!("adit-identity-{}", std::process::id()));
        let path = dir.join("identity.key");
        let made = Identity::load_or_create(&path).unwrap();
        let read = Identity::load_or_create(&path).unwrap();
        assert_eq!(made.public_key(), read.public_key());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        fs::write(&path, b"not a key").unwrap();
        assert!(matches!(
            Identity::load_or_create(&path),
            Err(IdentityError::NotAKey(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn first_runs_at_the_same_moment_make_one_identity() {
        let dir = std::env::temp_dir().join(format!("adit-first-run-{}", std::process::id()));
        let path = dir.join("identity.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let run = || Identity::load_or_create(&path).unwrap().public_key();
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft is left");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_signature_fits_one_key_and_one_message() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let signature = one.sign(b"message");
        assert!(verify(&one.public_key(), b"message", &signature));
        assert!(!verify(&other.public_key(), b"message", &signature));
        assert!(!verify(&one.public_key(), b"massage", &signature));
    }
}
