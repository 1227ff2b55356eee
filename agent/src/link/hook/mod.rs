//! A request that is a webhook, or should be one: verified, told of, counted and, if need be, answered
//! before the origin gets it.
//!
//! - `answer`: what is answered here;
//! - `visit`: the times that an event comes.

mod answer;
mod visit;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use adit_shared::body::ahead;
use adit_shared::body::recv::{BodyError, FromStream, declared_length};
use adit_shared::stream::{Parts, SendHalf};
use adit_shared::webhook::judge::{Judgement, VERIFIED, is_ruled, judge, signer, url, wanted};
use adit_shared::webhook::{Message, Provider, Seen, Unverified, recognise};
use adit_shared::wire::fields::{Fields, FieldsMut};
use adit_shared::wire::{frame, head};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use self::answer::{BUSY, CONFIRMED, OPEN, Own, TOO_LARGE, UNCHECKED, UNCONFIRMED, UNVERIFIED};
use self::visit::Visit;
use super::progress::{Taken, stalled};
use super::serve::{Record, ServeError, To, ask_with_body, begin, respond, switch};
use super::simulate::Twin;
use crate::capture::tap::Maybe;
use crate::capture::{Side, Tap};
use crate::config::Webhooks;
use crate::config::webhooks::{BUDGET, Challenges, Duplicates};
use crate::origin::{OriginError, Response};
use crate::webhook::UNIT;
use crate::webhook::anew::sign_anew;

/// A body that is read ahead.
type Ahead = ahead::Ahead<Maybe<FromStream>>;

/// Why a request is looked at.
#[derive(Clone, Copy)]
pub(super) struct Concern {
    /// It has to be genuine.
    is_ruled: bool,
    /// Whose it seems to be.
    provider: Option<&'static Provider>,
}

impl Concern {
    /// Why to look at a request, if there is a reason. Of requests without a body that takes a rule.
    pub(super) fn with(hooks: &Webhooks, head: &head::Request, has_body: bool) -> Option<Self> {
        let is_ruled = !hooks.rules.is_empty() && is_ruled(&hooks.rules, head.target.path());
        let may_be = is_ruled || (has_body && head.protocol.is_none());
        let provider = may_be.then(|| recognise(&head.fields)).flatten();
        (is_ruled || provider.is_some()).then_some(Self { is_ruled, provider })
    }
}

/// Serves a request that there is a reason to look at. Not safe to drop: give up the exchange then.
pub(super) async fn serve(
    send: &mut SendHalf,
    rest: Option<Box<Parts>>,
    mut head: Box<head::Request>,
    to: To<'_>,
    record: &mut Record<'_>,
    concern: Concern,
) -> Result<(), ServeError> {
    let hooks = &to.tunnel.webhooks;
    // What the origin is told here, nobody else can tell it. The relay knows how often it tried what was
    // kept for us, and lets no visitor say so.
    let tried = head
        .fields
        .get(ATTEMPT)
        .and_then(|value| str::from_utf8(value).ok());
    let tried = tried.and_then(|text| text.parse().ok());
    // The relay lets no visitor say that a webhook is genuine, but may have found out; our own rules know better.
    let is_ours = |name: &[u8]| {
        (concern.is_ruled && name == VERIFIED.as_bytes()) || name == ATTEMPT.as_bytes()
    };
    head.fields.retain(|name, _| !is_ours(name));
    let switches = head.protocol.is_some();
    let (rest, switched) = if switches { (None, rest) } else { (rest, None) };
    let (mut ahead, _room) = match rest {
        None => (Ahead::none(), None),
        Some(parts) if !concern.is_ruled && !is_small(&head, hooks.limit) => {
            let message = Message::new(head.method.as_str(), "", &head.fields, b"");
            record.webhook(concern.provider.map(|provider| Seen {
                verified: is_vouched(&head, provider).then_some(true),
                ..told(provider, &message)
            }));
            return ask_with_body(send, parts, head, to, record).await;
        }
        Some(parts) => match read(send, parts, &mut head, to, record.tap()).await? {
            Some((ahead, room)) => (ahead, Some(room)),
            None => return BUSY.say(send, record).await,
        },
    };
    // A signature has the age that it had when it came.
    let kept = kept_since(&head);
    let at = kept.unwrap_or_else(SystemTime::now);
    let (judged, seen) = look(&head, &ahead, to, concern, at).await;
    let verdict = judged.verdict;
    let visit = match &seen {
        Some(seen) if !matches!(verdict, Some(Err(_))) => Visit::of(to, seen),
        _ => None,
    };
    let count = visit.as_ref().map_or(1, |visit| visit.attempt.count);
    let count = count.max(tried.unwrap_or(1));
    let seen = seen.map(|seen| Seen {
        attempt: count,
        ..seen
    });
    record.webhook(seen.clone());
    let is_due = hooks.challenges == Challenges::Always || judged.refused;
    if let Some(answer) = judged.challenge.as_ref().filter(|_| is_due) {
        return Own::from(answer).say(send, record).await;
    }
    if judged.refused {
        let own = match verdict {
            Some(Err(Unverified::TooLarge)) => TOO_LARGE,
            Some(Err(Unverified::NoCertificate)) => UNCHECKED,
            _ => UNVERIFIED,
        };
        return own.say(send, record).await;
    }
    if let Some(url) = judged.confirmation.as_ref().filter(|_| hooks.confirm) {
        return match to.desk.fetch().confirm(url).await {
            Ok(()) => CONFIRMED.say(send, record).await,
            Err(why) => {
                tracing::warn!(%why, "a subscription could not be confirmed");
                UNCONFIRMED.say(send, record).await
            }
        };
    }
    let genuine = verdict.and_then(Result::ok);
    let drops = hooks.duplicates == Duplicates::Drop && genuine.is_some();
    let mut visit = visit;
    if let Some(visit) = visit.as_ref().filter(|_| drops) {
        if let Some(first) = &visit.attempt.answer {
            return answer::again(first, send, record).await;
        }
        if visit.attempt.open {
            return OPEN.say(send, record).await;
        }
    }
    if let Some(provider) = genuine.filter(|_| kept.is_some() && hooks.sign_anew) {
        refresh(&mut head, &mut ahead, provider, hooks);
    }
    match (&seen, tried) {
        (Some(seen), _) => tell_origin(&mut head, genuine, seen, tried.is_some())?,
        (None, Some(tried)) => tell_attempt(&mut head, tried)?,
        (None, None) => {}
    }
    if let Some(parts) = switched {
        return switch(send, *parts, head, to, record).await;
    }
    let response = fetch(send, head, ahead, to, record.twin()).await;
    if let (Err(ServeError::Origin(OriginError::Connect(_))), Some(visit)) = (&response, &mut visit)
    {
        visit.take_back();
    }
    let response = match (response, &judged.challenge) {
        (Err(ServeError::Origin(OriginError::Connect(_))), Some(answer))
            if hooks.challenges == Challenges::Down =>
        {
            return Own::from(answer).say(send, record).await;
        }
        (response, _) => response?,
    };
    let Response { head, body } = response;
    match visit.filter(|_| drops && head.status.is_success()) {
        Some(visit) => visit.respond(send, head, body, record).await,
        None => respond(send, head, body, record).await,
    }
}

/// Whether a body is read for nothing but to know more of the webhook.
fn is_small(head: &head::Request, limit: usize) -> bool {
    declared_length(&head.fields).is_some_and(|length| length <= limit as u64)
}

/// Reads the body, as much of it as is looked at. Nothing when there is no room for it.
async fn read<'a>(
    send: &mut SendHalf,
    parts: Box<Parts>,
    head: &mut head::Request,
    to: To<'a>,
    tap: Option<&Tap>,
) -> Result<Option<(Ahead, SemaphorePermit<'a>)>, ServeError> {
    let limit = to.tunnel.webhooks.limit;
    let declared = declared_length(&head.fields);
    let bytes = declared.map_or(limit, |length| length.min(limit as u64) as usize);
    let units = bytes.min(BUDGET).div_ceil(UNIT) as u32;
    let Ok(Ok(room)) = timeout(PATIENCE, to.desk.budget().acquire_many(units)).await else {
        return Ok(None);
    };
    let expect = head.fields.get("expect");
    if expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        // The visitor waits for it, and the origin gets its request only when the body is here.
        head.fields.remove("expect");
        let mut bytes = BytesMut::new();
        let go_on = head::Response {
            status: StatusCode::CONTINUE,
            fields: Fields::new(),
            end: false,
        };
        frame::put_response(&mut bytes, &go_on)?;
        send.write(&mut [bytes.freeze()]).await?;
    }
    let body = FromStream::new(parts, false, declared);
    let body = Maybe::new(body, tap, Side::Visitor);
    match timeout(PATIENCE, Ahead::read(body, limit)).await {
        Ok(Ok(ahead)) => Ok(Some((ahead, room))),
        Ok(Err(_)) | Err(_) => Err(OriginError::Request.into()),
    }
}

/// When a request came to the relay that has kept it since. The relay lets no visitor say so; nothing has come
/// in the future.
fn kept_since(head: &head::Request) -> Option<SystemTime> {
    let text = str::from_utf8(head.fields.get(RECEIVED)?).ok()?;
    let came: Timestamp = text.parse().ok()?;
    Some(SystemTime::from(came).min(SystemTime::now()))
}

/// Signs a genuine request anew that was kept for long, so that it is not too old for the origin's own check.
/// What cannot be signed goes as it came.
fn refresh(head: &mut head::Request, ahead: &mut Ahead, provider: &Provider, hooks: &Webhooks) {
    let mut body = ahead.data().clone();
    match sign_anew(head, &mut body, provider, hooks, SystemTime::now()) {
        Ok(()) => ahead.set_data(body),
        Err(why) => tracing::debug!(%why, "a kept webhook is delivered with its first signature"),
    }
}

/// What the rules say, and what is known. Safe to drop.
async fn look(
    head: &head::Request,
    ahead: &Ahead,
    to: To<'_>,
    concern: Concern,
    at: SystemTime,
) -> (Judgement, Option<Seen>) {
    let hooks = &to.tunnel.webhooks;
    let url = url(head);
    let data: &[u8] = if ahead.is_whole() { ahead.data() } else { b"" };
    let message = || Message::new(head.method.as_str(), &url, &head.fields, data);
    let path = head.target.path();
    let wanted = wanted(&hooks.rules, path, &message());
    let certificate = match wanted {
        Some(url) => to.desk.fetch().certificate(&url).await,
        None => None,
    };
    let mut message = message();
    message.certificate = certificate;
    let judged = judge(&hooks.rules, path, &message, ahead.is_whole(), at);
    let verdict = judged.verdict;
    let provider = verdict.and_then(Result::ok).or(concern.provider);
    let seen = provider.map(|provider| Seen {
        verified: match verdict {
            Some(verdict) => Some(verdict.is_ok()),
            None => is_vouched(head, provider).then_some(true),
        },
        why: verdict.and_then(Result::err).map(Unverified::word),
        ..told(provider, &message)
    });
    (judged, seen)
}

/// Whether the relay says that `provider` has signed it.
fn is_vouched(head: &head::Request, provider: &Provider) -> bool {
    let said = head.fields.get(VERIFIED).unwrap_or_default();
    said.split(|byte| *byte == b';').next() == Some(provider.name.as_bytes())
}

fn told(provider: &'static Provider, message: &Message<'_>) -> Seen {
    Seen {
        event: provider.event(message),
        id: provider.id(message),
        ..Seen::new(provider)
    }
}

/// Tells the origin what is known.
fn tell_origin(
    head: &mut head::Request,
    genuine: Option<&Provider>,
    seen: &Seen,
    is_kept: bool,
) -> Result<(), ServeError> {
    let is_told = is_kept || seen.attempt > 1;
    if genuine.is_none() && !is_told {
        return Ok(());
    }
    let mut fields = FieldsMut::from(&head.fields);
    if genuine.is_some() {
        let value = signer(seen.provider, seen.event.as_deref(), seen.id.as_deref());
        push(&mut fields, VERIFIED, value.as_bytes())?;
    }
    head.fields = fields.take();
    if is_told {
        tell_attempt(head, seen.attempt)?;
    }
    Ok(())
}

/// Tells the origin how often the request has come.
fn tell_attempt(head: &mut head::Request, attempt: u32) -> Result<(), ServeError> {
    let mut fields = FieldsMut::from(&head.fields);
    push(&mut fields, ATTEMPT, attempt.to_string().as_bytes())?;
    head.fields = fields.take();
    Ok(())
}

fn push(fields: &mut FieldsMut, name: &str, value: &[u8]) -> Result<(), ServeError> {
    let pushed = fields.push(name.as_bytes(), value);
    pushed.map_err(|_| OriginError::Request.into())
}

/// Sends a request whose body is here to the origin.
async fn fetch(
    send: &mut SendHalf,
    head: Box<head::Request>,
    ahead: Ahead,
    to: To<'_>,
    twin: Option<Twin>,
) -> Result<Response, ServeError> {
    let taken = Taken::default();
    let body = Counted {
        body: ahead,
        taken: taken.clone(),
    };
    let body = (!head.end).then_some(body);
    let taken = body.is_some().then_some(taken);
    let begun = begin(send, head, body, to.upstream, twin);
    let late = stalled(taken, to.tunnel.origin_timeout);
    tokio::pin!(begun, late);
    tokio::select! {
        biased;
        response = &mut begun => response,
        () = &mut late => Err(OriginError::Timeout.into()),
    }
}

/// A body that tells how much of it was taken.
struct Counted {
    body: Ahead,
    taken: Taken,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.taken.count();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells when a request came that was kept.
const RECEIVED: &str = "adit-inbox-received";
/// Tells the origin how often an event has come.
const ATTEMPT: &str = "adit-webhook-attempt";
/// How long a body may take, and how long it may wait for room.
const PATIENCE: Duration = Duration::from_secs(30);
