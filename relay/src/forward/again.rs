//! Requests that are sent once more, because the session that they went to was lost.
//!
//! A request is never served twice by chance. It is sent again when it surely has not begun at the agent:
//! the agent said so, or its head was never written whole. It is also sent again when its method is safe
//! (RFC 9110 section 9.2.1), for then twice is as good as once. Anything else fails. The second try is the
//! last.

use std::time::Instant;

use adit_shared::name::SessionId;
use adit_shared::wire::code::Reset;
use http::Method;

use super::kept::Kept;
use super::pending::Pending;
use super::{Forward, ForwardError, Outbound};
use crate::exchange::ExchangeError;

/// What it takes to send a request once more.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) outbound: Box<Outbound>,
    /// The body, if there is one.
    pub(super) kept: Option<Kept>,
    /// Where it was sent.
    pub(super) session: SessionId,
}

impl Forward {
    /// Sends a request once more that got no answer because of `error`, when that is safe, to the session
    /// that serves its host next. Safe to drop.
    ///
    /// # Errors
    ///
    /// `error`, when the request may not be sent again; otherwise why it could not be.
    pub(super) async fn again(
        &self,
        pending: &mut Pending,
        error: ExchangeError,
    ) -> Result<(), ForwardError> {
        let Some(again) = pending.take_again() else {
            return Err(error.into());
        };
        let Again {
            mut outbound,
            kept,
            session,
        } = *again;
        match why(&error, &outbound.head.method) {
            Some(Why::Safe) => {}
            // One that is merely busy would refuse it again.
            Some(Why::NotBegun) if !outbound.route.is_served_by(session) => {}
            Some(Why::NotBegun) | None => return Err(error.into()),
        }
        let (weight, now) = (outbound.weight(), Instant::now());
        let next = self.routes.next(&outbound.route, session, weight, now);
        let serving = next.await?;
        tracing::debug!(id = %outbound.id, %error, to = %serving.session.id, "sent once more");
        self.metrics.resent.inc();
        outbound.is_last = true;
        pending.replace(self.begin(outbound, kept, None, serving).await?);
        Ok(())
    }
}

/// Why a request may be sent once more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// No agent has begun with it.
    NotBegun,
    /// Serving it twice does what serving it once does.
    Safe,
}

fn why(error: &ExchangeError, method: &Method) -> Option<Why> {
    // TRACE is safe, and nobody needs it.
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match error {
        ExchangeError::Reset(Reset::Overload) => Some(Why::NotBegun),
        ExchangeError::Lost(_) if is_safe => Some(Why::Safe),
        ExchangeError::Lost(_)
        | ExchangeError::Reset(_)
        | ExchangeError::Overload
        | ExchangeError::HeadTooLarge(_)
        | ExchangeError::Protocol(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use adit_shared::quic::Lost;

    use super::*;

    #[test]
    fn only_what_has_not_begun_or_is_safe_is_sent_again() {
        let lost = ExchangeError::Lost(Lost::Forgotten);
        let busy = ExchangeError::Reset(Reset::Overload);
        let reset = ExchangeError::Reset(Reset::OriginReset);
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(why(&lost, &method), Some(Why::Safe));
            assert_eq!(why(&busy, &method), Some(Why::NotBegun));
            assert_eq!(why(&reset, &method), None);
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
            assert_eq!(why(&lost, &method), None);
            assert_eq!(why(&busy, &method), Some(Why::NotBegun));
            assert_eq!(why(&reset, &method), None);
        }
    }
}
