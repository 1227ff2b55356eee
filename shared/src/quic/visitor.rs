//! What visitors need of a connection, and agents do not: HTTP/3 has streams of one direction, and codes
//! of its own. A visitor is a stranger, so what it may hold is small, and grows only with what it proved.

use quinn::VarInt;

use super::{Connection, Lost, RecvStream, SendStream, code_number};

impl Connection {
    /// Opens a stream that only we write; waits while the peer permits none. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the connection ended.
    pub async fn open_one_way(&self) -> Result<SendStream, Lost> {
        self.quic.open_uni().await.map_err(Lost::from)
    }

    /// The next stream that only the peer writes. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the connection ended.
    pub async fn accept_one_way(&self) -> Result<RecvStream, Lost> {
        self.quic.accept_uni().await.map_err(Lost::from)
    }

    /// As [`close`](Self::close), with a code of another protocol.
    pub fn close_as(&self, code: u64, reason: &str) {
        self.gate.close_connection();
        self.quic.close(code_number(code), reason.as_bytes());
    }

    /// Lets a visitor have `uploads` under way that their readers take slowly: each may fill the window of
    /// its stream without stopping what else the visitor asks for. Above eight they stop each other.
    pub fn allow_uploads(&self, uploads: u32) {
        let window = BASE.saturating_add(uploads.min(UPLOADS).saturating_mul(self.window));
        self.quic.set_receive_window(VarInt::from_u32(window));
    }

    /// Keeps as much for a visitor as its way has proved to carry: twice the congestion window, within
    /// bounds. To be called every so often while much is sent.
    pub fn adapt_send_window(&self) {
        let proved = self.quic.stats().path.cwnd.saturating_mul(2);
        let window = proved.clamp(SEND_WINDOW, MAX_SEND_WINDOW);
        self.quic.set_send_window(window);
    }
}

/// The number of a stream (RFC 9000 section 2.1).
pub fn stream_number(stream: &SendStream) -> u64 {
    VarInt::from(stream.id()).into_inner()
}

/// Sets the bounds of a connection that turned out to be a visitor's, who may have so many requests open.
pub(super) fn limit(quic: &quinn::Connection, requests: u32) {
    quic.set_max_concurrent_bi_streams(VarInt::from_u32(requests));
    quic.set_max_concurrent_uni_streams(VarInt::from_u32(ONE_WAY));
    quic.set_receive_window(VarInt::from_u32(BASE));
    quic.set_send_window(SEND_WINDOW);
}

/// What visitors speak over QUIC, as TLS calls it (RFC 9114 section 3.1).
pub const HTTP3: &[u8] = b"h3";

/// Requests that a visitor may have open at once, unless something else is wanted (RFC 9114 section 6.1).
pub(super) const REQUESTS: u32 = 100;
/// Streams of one direction that a visitor may have open: three that HTTP/3 needs, and room for what is
/// not known here.
const ONE_WAY: u32 = 8;
/// Bytes of all streams that a visitor may have under way to us, uploads aside.
const BASE: u32 = 1 << 20;
/// Uploads that cannot stop each other.
const UPLOADS: u32 = 8;
/// Bytes that are kept for a visitor until it has acknowledged them, at first.
const SEND_WINDOW: u64 = 1 << 20;
/// The same, at most.
const MAX_SEND_WINDOW: u64 = 8 << 20;
