//! Our own control stream: settings first, and how the connection ends (RFC 9114 section 5.2).

use adit_shared::quic::WriteError;
use adit_shared::stream::SendHalf;
use adit_shared::wire::varint;
use bytes::BytesMut;
use thiserror::Error;

use super::code::Code;
use super::link::Link;
use super::settings::{CONNECT_PROTOCOL, FIELD_SECTION};
use super::{frame, peer};

/// The control stream. It is open as long as the connection is.
#[derive(Debug)]
pub(super) struct Control(SendHalf);

impl Control {
    /// Opens it, and says what we are able to do. Not safe to drop.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub(super) async fn open(link: &Link) -> Result<Self, ControlError> {
        let stream = link.connection.open_one_way().await?;
        let mut this = Self(SendHalf::of_protocol(
            stream,
            Code::ClosedCriticalStream.number(),
        ));
        let mut bytes = BytesMut::new();
        varint::put(&mut bytes, peer::CONTROL);
        let most = link.limit.bytes + FIELD_COST * link.limit.fields;
        frame::put_settings(
            &[(FIELD_SECTION, most as u64), (CONNECT_PROTOCOL, 1)],
            &mut bytes,
        );
        this.0.write(&mut [bytes.freeze()]).await?;
        Ok(this)
    }

    /// Says that no request from `id` on is served. Not safe to drop.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub(super) async fn goaway(&mut self, id: u64) -> Result<(), WriteError> {
        let mut bytes = BytesMut::new();
        frame::put_goaway(id, &mut bytes);
        self.0.write(&mut [bytes.freeze()]).await
    }
}

/// Why there is no control stream.
#[derive(Debug, Error)]
pub(super) enum ControlError {
    #[error(transparent)]
    Lost(#[from] adit_shared::quic::Lost),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What a field costs besides its bytes, as clients count (RFC 9114 section 4.2.2).
const FIELD_COST: usize = 32;
