//! One connection of a visitor, until it ends or is told to.

use std::sync::Arc;
use std::time::Duration;

use adit_shared::quic::{Lost, RecvStream, SendStream, stream_number};
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::wire::varint;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use super::code::Code;
use super::control::Control;
use super::link::Link;
use super::{peer, stream};

/// Serves a connection until it ends, or until the service's tasks are stopped and the requests in flight
/// have ended.
pub(super) async fn serve(link: &Arc<Link>) {
    let opened = timeout(link.service.patience.handshake, Control::open(link)).await;
    let mut control = match opened {
        Ok(Ok(control)) => control,
        Ok(Err(error)) => return tracing::debug!(side = "visitor", %error, "connection ended"),
        Err(_) => {
            let what = "no control stream could be opened";
            return link
                .connection
                .close_as(Code::StreamCreationError.number(), what);
        }
    };
    tokio::select! {
        biased;
        violation = peer::listen(link) => {
            if let Some(violation) = violation {
                link.close(&violation);
            }
        }
        ended = requests(link, &mut control) => match ended {
            Ok(()) => link.connection.close_as(Code::NoError.number(), ""),
            Err(error) => tracing::debug!(side = "visitor", %error, "connection ended"),
        },
    }
}

/// Takes requests until nobody has any, or the relay drains; then says so, and waits for those in flight.
async fn requests(link: &Arc<Link>, control: &mut Control) -> Result<(), Lost> {
    let tasks = &link.service.tasks;
    // The number of the next request.
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = tasks.stopped() => break,
            accepted = timeout(link.service.patience.idle, link.connection.accept()) => accepted,
        };
        match accepted {
            Ok(accepted) => next = start(link, accepted?),
            Err(_) if link.is_busy() => {}
            Err(_) => break,
        }
    }
    // Twice: what the visitor asked for before it heard of it is served (RFC 9114 section 5.2).
    tell(control, LAST).await;
    let mut heard = std::pin::pin!(sleep((2 * link.connection.rtt()).clamp(AT_LEAST, AT_MOST)));
    loop {
        tokio::select! {
            biased;
            () = &mut heard => break,
            accepted = link.connection.accept() => next = start(link, accepted?),
        }
    }
    tell(control, next).await;
    loop {
        tokio::select! {
            biased;
            () = link.idle() => return Ok(()),
            accepted = link.connection.accept() => {
                let (send, recv) = accepted?;
                let code = Code::RequestRejected.number();
                SendHalf::of_protocol(send, code).reset_as(code);
                RecvHalf::of_protocol(recv, code).stop_as(code);
            }
        }
    }
}

async fn tell(control: &mut Control, id: u64) {
    // A visitor that does not read it learns of it from the end of the connection.
    if let Ok(Err(error)) = timeout(AT_MOST, control.goaway(id)).await {
        tracing::debug!(side = "visitor", %error, "GOAWAY not sent");
    }
}

/// Serves a request beside the others; says the number of the next one.
fn start(link: &Arc<Link>, (send, recv): (SendStream, RecvStream)) -> u64 {
    let next = stream_number(&send) + 4;
    let (request, on) = (link.request(), link.clone());
    let serve = async move {
        stream::serve(&on, send, recv).await;
        drop(request);
    };
    let span = tracing::Span::none();
    link.service.tasks.spawn(span, serve.in_current_span());
    next
}

/// How long requests are taken that were sent before their visitor heard of the end.
const AT_LEAST: Duration = Duration::from_millis(20);
const AT_MOST: Duration = Duration::from_secs(1);
/// No request has this number, nor a larger one.
const LAST: u64 = varint::MAX - 3;
