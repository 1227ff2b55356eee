//! The control message by which an agent asks for copies of what another one serves.

use bytes::Bytes;

use super::control::{Payload, TooLong, text};
use super::inbox::{put_texts, texts};
use super::varint::{self, Malformed};

/// Agent: send me copies of the requests to this name or host, and forget what I answer. It stands in the place
/// of a claim, so that a relay that does not know it gives the host to nobody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mirror {
    /// The agent's number for the tunnel.
    pub tunnel: u64,
    /// The name that is meant; empty for an own domain.
    pub name: String,
    /// The own domain that is meant; empty for a name.
    pub host: String,
    /// Which paths are meant.
    pub patterns: Vec<String>,
}

impl Mirror {
    pub(super) fn encode(&self, to: &mut Payload) -> Result<(), TooLong> {
        to.number(self.tunnel);
        to.text(&self.name)?;
        to.text(&self.host)?;
        put_texts(to, &self.patterns)
    }

    pub(super) fn decode(from: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            tunnel: varint::get(from)?,
            name: text(from)?,
            host: text(from)?,
            patterns: texts(from)?,
        })
    }
}
