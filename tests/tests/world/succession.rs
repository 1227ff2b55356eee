//! A request whose session is lost before it was sent, and the next one as well.

use std::sync::Arc;
use std::time::Duration;

use adit_relay::addresses::Asker;
use adit_relay::forward::allowance::Allowance;
use adit_relay::forward::{BodyLimit, Forward, HeadLimit, Inbound, Visitor};
use adit_relay::metrics::Metrics;
use adit_relay::mirror::Mirrors;
use adit_relay::queue::Inboxes;
use adit_relay::route::{Claim, Limits, Routes, Who};
use adit_relay::session::{Newcomer, Session};
use adit_shared::hop::Options;
use adit_shared::pace::Least;
use adit_shared::quic::Connection;
use adit_shared::stall::{Budget, Stalls};
use adit_shared::task::Tasks;
use adit_shared::wire::arrival::Version;
use adit_shared::wire::code::Close;
use adit_tests::soon;
use bytes::Bytes;
use futures_util::poll;
use http::Method;
use http_body_util::Empty;
use tokio::sync::Semaphore;

use crate::streams::connected;

/// The agent had been answered 502 by then, although nobody had seen a byte of its request.
#[tokio::test]
async fn a_request_of_which_nothing_was_sent_outlives_the_loss_of_the_next_session_too() {
    let routes = Routes::new(Limits {
        hold: Duration::from_secs(5),
        held_per_host: 1,
        held: 1,
        held_bytes: 1 << 10,
        reserve: Duration::ZERO,
    });
    let (one, _gone, _keep) = connected().await;
    one.close(Close::Goodbye, "");
    let _first = claim(&routes, one);
    let (two, _gone, _keep) = connected().await;
    two.close(Close::Goodbye, "");
    let (three, agent, _keep) = connected().await;

    let forward = forwarding(routes.clone());
    let visitor = Visitor::new(([127, 0, 0, 1], 1).into(), false, None, Asker::default());
    let prepared = forward.prepare(&visitor, asking("app.localhost")).unwrap();
    let mut sending = Box::pin(forward.send(prepared, Empty::<Bytes>::new()));
    assert!(poll!(&mut sending).is_pending(), "it waits for the next");
    let _second = claim(&routes, two);
    assert!(poll!(&mut sending).is_pending(), "and for the one after it");
    assert_eq!(routes.held(), 1);
    let _third = claim(&routes, three);
    let pending = soon("it is sent", sending).await;
    assert!(pending.is_ok(), "{pending:?}");
    soon("the agent has it", agent.accept()).await.unwrap();
}

fn claim(routes: &Routes, connection: Connection) -> Claim {
    let newcomer = Newcomer {
        owner: [7; 32].into(),
        token: None,
        instance: [7; 16],
        version: String::new(),
        exchanges: 8,
    };
    let account = Stalls::new(Budget {
        each: 1 << 20,
        all: 1 << 20,
    })
    .account(connection.window());
    let session = Session::new(newcomer, connection, account, 0, Arc::default());
    let host = "app.localhost".parse().unwrap();
    routes
        .claim(&host, &Arc::new(session), 0, Who::Identity)
        .unwrap()
}

fn forwarding(routes: Routes) -> Forward {
    Forward {
        routes,
        tasks: Tasks::default(),
        metrics: Arc::<Metrics>::default(),
        domain: "localhost".parse().unwrap(),
        notice: None,
        trusted_proxies: Vec::new(),
        head: HeadLimit {
            bytes: 1 << 10,
            fields: 8,
        },
        body: BodyLimit {
            bytes: 1 << 10,
            least: Least::NOTHING,
        },
        allowance: Arc::new(Allowance::new(8)),
        per_tunnel: 8,
        kept: Arc::new(Semaphore::new(1 << 10)),
        inboxes: Inboxes::off(),
        mirrors: Mirrors::default(),
        webhooks: None,
    }
}

fn asking(host: &str) -> Inbound<'_, impl Iterator<Item = (&[u8], &[u8])> + Clone> {
    Inbound {
        method: Method::POST,
        target: "/".parse().unwrap(),
        authority: None,
        is_http1: true,
        version: Version::Http1,
        options: Options::default(),
        fields: [(&b"host"[..], host.as_bytes())].into_iter(),
        protocol: None,
        expects: false,
        end: true,
        window: 0,
    }
}
