//! What a relay must remember of QUIC beyond its own life.
//!
//! A relay that was killed knows none of the connections it had. To a packet of one it answers with a
//! stateless reset (RFC 9000 section 10.3), which the agent believes only when it holds the token that
//! was made for that connection id; so the key that makes tokens has to outlive the program. The same
//! goes for the key under which a peer is told to prove its address (section 8.1.2).
//!
//! The keys are never changed by themselves: a change would make all connections of that moment wait out
//! their idle timeout at the next restart, and wins nothing. Section 10.3.2 asks that a connection id never
//! comes back under the same key; ids have at least 58 random bits and a connection uses a handful. All
//! shards have the same keys, and none is an oracle for the connections of another (section 21.11): a shard
//! answers only for ids that lead to it, see `steer`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac};

/// Bytes of the secret that everything else follows from.
pub const SECRET: usize = 32;

/// The keys of a relay. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    pub(super) reset: Arc<hmac::Key>,
    pub(super) token: Arc<hkdf::Prk>,
}

impl Keys {
    /// The keys that follow from `secret`: always the same.
    pub fn of(secret: &[u8; SECRET]) -> Self {
        let secret_key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let reset = hmac::sign(&secret_key, b"adit quic stateless reset");
        Self {
            reset: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref())),
            token: Arc::new(
                hkdf::Salt::new(hkdf::HKDF_SHA256, b"adit quic address validation").extract(secret),
            ),
        }
    }
}

impl fmt::Debug for Keys {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
