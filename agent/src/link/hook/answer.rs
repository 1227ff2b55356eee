//! What is answered without the origin.

use adit_shared::stream::SendHalf;
use adit_shared::webhook::challenge::Answer;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt as _, Full};

use super::super::serve::{Record, ServeError, respond};
use crate::origin::OriginError;
use crate::webhook::memory::First;

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    status: StatusCode,
    /// The stable word for it, when it is an error.
    code: Option<&'static str>,
    retry_after: Option<&'static str>,
    content_type: &'static str,
    body: &'a str,
}

/// Not genuine, and the origin must not see it.
pub(super) const UNVERIFIED: Own<'static> = Own::error(
    StatusCode::UNAUTHORIZED,
    "webhook-unverified",
    "This is no webhook with a valid signature.\n",
);
/// Whether it is genuine cannot be told now.
pub(super) const UNCHECKED: Own<'static> = Own {
    retry_after: Some("5"),
    ..Own::error(
        StatusCode::SERVICE_UNAVAILABLE,
        "webhook-unchecked",
        "The certificate that this webhook names cannot be fetched now.\n",
    )
};
/// The subscription could not be confirmed.
pub(super) const UNCONFIRMED: Own<'static> = Own::error(
    StatusCode::BAD_GATEWAY,
    "webhook-unconfirmed",
    "The subscription could not be confirmed.\n",
);
/// It could.
pub(super) const CONFIRMED: Own<'static> = Own {
    status: StatusCode::OK,
    code: None,
    retry_after: None,
    content_type: "text/plain; charset=utf-8",
    body: "The subscription is confirmed.\n",
};
/// Too large to find that out.
pub(super) const TOO_LARGE: Own<'static> = Own::error(
    StatusCode::PAYLOAD_TOO_LARGE,
    "webhook-too-large",
    "This webhook is too large to be verified.\n",
);
/// There is no room for its body.
pub(super) const BUSY: Own<'static> = Own {
    retry_after: Some("5"),
    ..Own::error(
        StatusCode::SERVICE_UNAVAILABLE,
        "webhook-busy",
        "Too many webhooks wait to be verified.\n",
    )
};
/// The same event is being served.
pub(super) const OPEN: Own<'static> = Own {
    retry_after: Some("5"),
    ..Own::error(
        StatusCode::SERVICE_UNAVAILABLE,
        "webhook-in-progress",
        "This event came before and is still being handled.\n",
    )
};

impl<'a> Own<'a> {
    const fn error(status: StatusCode, code: &'static str, text: &'static str) -> Self {
        Self {
            status,
            code: Some(code),
            retry_after: None,
            content_type: "text/plain; charset=utf-8",
            body: text,
        }
    }

    pub(super) async fn say(
        self,
        send: &mut SendHalf,
        record: &mut Record<'_>,
    ) -> Result<(), ServeError> {
        if let Some(code) = self.code {
            record.answered(code);
        }
        let length = self.body.len().to_string();
        let mut pairs = vec![("cache-control", "no-store")];
        if self.status != StatusCode::NO_CONTENT {
            pairs.push(("content-length", &length));
        }
        if !self.body.is_empty() {
            pairs.push(("content-type", self.content_type));
            pairs.push(("x-content-type-options", "nosniff"));
        }
        pairs.extend(self.code.map(|code| ("adit-error", code)));
        pairs.extend(self.retry_after.map(|after| ("retry-after", after)));
        let head = head::Response {
            status: self.status,
            // They are few, and valid.
            fields: Fields::from_pairs(pairs).unwrap_or_default(),
            end: self.body.is_empty(),
        };
        let body = Bytes::copy_from_slice(self.body.as_bytes());
        respond(send, head, whole(body), record).await
    }
}

impl<'a> From<&'a Answer> for Own<'a> {
    fn from(answer: &'a Answer) -> Self {
        Self {
            status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
            code: None,
            retry_after: None,
            content_type: answer.content_type.unwrap_or("text/plain"),
            body: &answer.body,
        }
    }
}

/// Gives the first answer again.
pub(super) async fn again(
    first: &First,
    send: &mut SendHalf,
    record: &mut Record<'_>,
) -> Result<(), ServeError> {
    respond(send, first.head.clone(), whole(first.body.clone()), record).await
}

fn whole(body: Bytes) -> impl Body<Data = Bytes, Error = OriginError> {
    Full::new(body).map_err(|never| match never {})
}
