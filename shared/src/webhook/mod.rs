//! Webhooks: whose they are, whether they are genuine, and how they are signed.
//!
//! One engine and a table. A [`Provider`] is a row: what its requests look like, where its event and id
//! stand, and how it signs; [`verify`](verify()) and [`sign`](sign()) follow the same row, so that what is
//! signed here is what is accepted here. What is signed are the exact bytes of the body and, for some
//! providers, the exact public URL. Nothing here but `fetch` does I/O or knows the time.
//!
//! - [`scheme`]: what a row can say;
//! - [`table`]: the rows;
//! - [`find`]: whose a request is;
//! - [`message`]: a request, and what stands where in it;
//! - [`key`]: secrets, as providers hand them out;
//! - [`issued`], `token`: keys in certificates, and signatures that are tokens;
//! - `verify`, `sign`: is it genuine; make it so;
//! - [`fetch`]: certificates, from where they may lie;
//! - [`challenge`]: what an endpoint must answer before it gets events;
//! - [`path`], [`rule`], [`secrets`]: what must be genuine, and by which secrets;
//! - [`judge`](mod@judge): what the rules say of a request.

pub mod challenge;
pub mod fetch;
pub mod find;
pub mod issued;
pub mod judge;
pub mod key;
pub mod message;
pub mod path;
pub mod rule;
pub mod scheme;
pub mod secrets;
pub mod sign;
pub mod table;
mod token;
pub mod verify;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use fetch::Fetch;
pub use find::{provider, recognise};
pub use judge::{Judgement, is_ruled, judge, signer};
pub use key::Secret;
pub use message::Message;
pub use rule::{Mode, Rule};
pub use scheme::Provider;
pub use sign::{SignError, Signed, sign};
pub use verify::{Unverified, verify};

/// What is known of a request that is a webhook.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// The name of its provider.
    pub provider: &'static str,
    /// The type of the event.
    pub event: Option<String>,
    /// What is the same each time that the event is delivered.
    pub id: Option<String>,
    /// Whether its signature holds; nothing when nobody asked for that.
    pub verified: Option<bool>,
    /// Why it does not, as a word for programs.
    pub why: Option<&'static str>,
    /// How often it has come, this time included; 1 when that is not known.
    pub attempt: u32,
}

impl Seen {
    /// A webhook of `provider`, of which nothing else is known.
    pub fn new(provider: &'static Provider) -> Self {
        Self {
            provider: provider.name,
            event: None,
            id: None,
            verified: None,
            why: None,
            attempt: 1,
        }
    }
}
