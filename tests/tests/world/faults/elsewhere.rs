//! This machine comes to another network, whose way to the relay is nothing like the one before: what was
//! learned there must not hold up what is sent.

use std::time::Duration;

use adit_shared::stream::{RecvHalf, SendHalf};
use adit_tests::Path;
use adit_tests::path::{Faults, Rate};
use bytes::Bytes;
use tokio::time::Instant;

use crate::streams::{connect, listening};

const SECOND: Duration = Duration::from_secs(1);
const NEAR: Duration = Duration::from_millis(20);
const FAR: Duration = Duration::from_millis(200);
const FAST: u64 = 20_000_000;
const SLOW: u64 = 2_000_000;

fn way(bits: u64, round_trip: Duration) -> Faults {
    Faults {
        rate: Some(Rate::with_usual_queue(bits, round_trip)),
        ..Faults::far(round_trip)
    }
}

/// What arrived of the upload of an agent that changes from one way to the other, as a share of what the
/// second takes, from `soon` after the change on, for two seconds.
async fn share_after_a_change(from: Faults, to: Faults, soon: Duration) -> f64 {
    let (listener, client, _state) = listening();
    let path = Path::to(listener.local().unwrap(), 51).await;
    path.set(from);
    let (relay, agent, dialer) = connect(&listener, client, path.address).await;
    let upload = async {
        let (send, _recv) = agent.open().await.unwrap();
        let mut send = SendHalf::new(send);
        loop {
            send.write(&mut [Bytes::from_static(&[7; 16 << 10])])
                .await
                .unwrap();
        }
    };
    let measure = async {
        let (_send, recv) = relay.accept().await.unwrap();
        let mut recv = RecvHalf::new(recv);
        let mut received = async |time: Duration| {
            let (end, mut bytes) = (Instant::now() + time, 0);
            loop {
                let mut chunks = [const { Bytes::new() }; 8];
                let read = std::future::poll_fn(|cx| recv.poll_chunks(cx, &mut chunks));
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(end) => return bytes,
                    read = read => {
                        let count = read.unwrap().unwrap();
                        bytes += chunks[..count].iter().map(Bytes::len).sum::<usize>();
                    }
                }
            }
        };
        // Until it is known what the first takes.
        received(Duration::from_secs(3)).await;
        path.set(to);
        path.change_address();
        dialer.rebind_elsewhere().unwrap();
        received(soon).await;
        received(Duration::from_secs(2)).await as f64 / 2.0
    };
    // Agents knock when they follow their machine, and when they hear nothing.
    let knock = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            agent.knock(Bytes::from_static(b"\0"));
        }
    };
    let rate = tokio::select! {
        rate = measure => rate,
        () = upload => unreachable!(),
        () = knock => unreachable!(),
    };
    rate * 8.0 / to.rate.unwrap().bits as f64
}

#[tokio::test]
async fn a_slow_way_after_a_fast_one_is_used() {
    let share = share_after_a_change(way(FAST, NEAR), way(SLOW, FAR), SECOND).await;
    println!("{share:.2}");
    assert!(share > 0.5, "{share:.2}");
}

/// That nothing larger gets through shows only by what is lost, and after some time, which a busy machine makes longer.
#[tokio::test]
async fn a_slow_way_that_takes_smaller_packets_is_used_too() {
    let small = Faults {
        // 1,280 bytes with the headers of IPv4 and UDP.
        max_datagram: Some(1252),
        ..way(SLOW, FAR)
    };
    let share = share_after_a_change(way(FAST, NEAR), small, 8 * SECOND).await;
    println!("{share:.2}");
    assert!(share > 0.5, "{share:.2}");
}

/// What the slow way took was all that was sent on the fast one, until it was probed for more.
#[tokio::test]
async fn a_fast_way_after_a_slow_one_is_used_at_once() {
    let share = share_after_a_change(way(SLOW, FAR), way(FAST, NEAR), SECOND).await;
    println!("{share:.2}");
    assert!(share > 0.5, "{share:.2}");
}
