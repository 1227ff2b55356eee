//! Agents that give an exchange up, or say nothing at all.

use adit_shared::stream::SendHalf;
use adit_shared::wire::code::Reset;
use adit_tests::{eventually, soon};
use tokio::io::AsyncWriteExt as _;

use super::{GET, assert_well, stage};

#[tokio::test]
async fn each_reset_before_the_head_has_its_answer() {
    let (world, _good, evil) = stage().await;
    for code in Reset::ALL {
        let expected = match code {
            Reset::OriginRefused => (502, "origin-refused"),
            Reset::OriginReset => (502, "origin-reset"),
            Reset::OriginInvalid | Reset::HeadTooLarge => (502, "origin-invalid"),
            Reset::OriginTimeout => (504, "origin-timeout"),
            Reset::Overload => (503, "too-many-requests-in-flight"),
            Reset::VisitorReset => (400, "request-incomplete"),
            Reset::Cancelled | Reset::Internal => (502, "agent-lost"),
            Reset::Protocol => (502, "agent-invalid"),
        };
        let reset = async {
            let (send, _parts) = evil.exchange().await;
            SendHalf::new(send).reset(*code);
        };
        let (answer, ()) = tokio::join!(world.say(GET), reset);
        let shown = (answer.status.as_u16(), answer.error().unwrap());
        assert_eq!(shown, expected, "{code}");
        assert_eq!(answer.fields.contains_key("retry-after"), shown.0 == 503);
    }
    for unknown in [0_u32, 0x1234] {
        let reset = async {
            let (mut send, _parts) = evil.exchange().await;
            send.reset(unknown.into()).unwrap();
        };
        let (answer, ()) = tokio::join!(world.say(GET), reset);
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (502, Some("agent-lost")), "{unknown}");
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn an_agent_that_refuses_the_request_is_an_answer_too() {
    let (world, _good, evil) = stage().await;
    let refuse = async {
        let (send, mut parts) = evil.exchange().await;
        parts.stop(Reset::OriginRefused);
        SendHalf::new(send).reset(Reset::OriginRefused);
    };
    let upload = [1; 100_000];
    let (answer, ()) = tokio::join!(world.post("evil", "/", &upload), refuse);
    assert_eq!(answer.error(), Some("origin-refused"));
    assert_well(&world).await;
}

#[tokio::test]
async fn an_agent_that_never_answers_costs_its_own_visitors_only() {
    let (world, _good, evil) = stage().await;
    let mut visitor = world.dial().await;
    visitor.write_all(GET).await.unwrap();
    let (send, _parts) = evil.exchange().await;
    for _ in 0..10 {
        assert_well(&world).await;
    }
    drop(visitor);
    // The evil one is told, as anybody would be.
    let send = SendHalf::new(send);
    assert_eq!(
        soon("the stop", send.stopped()).await,
        Some(Reset::Cancelled)
    );
    eventually("the exchange has ended", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("\nadit_relay_exchanges 0\n")
    })
    .await;
}
