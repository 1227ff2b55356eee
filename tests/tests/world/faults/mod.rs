//! Ways between agent and relay that fail, under exchanges of every kind: nothing may be lost, and all
//! goes on soon.
//!
//! Bounds on time are several times what is measured on a quiet machine (docs/flaky-networks.md), since
//! these tests run beside others. Those that take long run in `make soak`.

mod cuts;
mod elsewhere;
mod loss;
mod moves;
mod mtu;
mod schedules;

use std::time::Duration;

use adit_tests::mix::{Load, Mix};
use adit_tests::path::{Faults, Rate};
use adit_tests::world::Agent;
use adit_tests::{Path, World};
use tokio::time::Instant;

/// All kinds of exchanges over a way of 40 ms, which carries no more than a busy machine does.
struct Scene {
    world: World,
    path: Path,
    mix: Mix,
    agent: Agent,
    usual: Faults,
}

impl Scene {
    async fn start(seed: u64) -> Self {
        Self::far(seed, RTT, Duration::from_millis(10)).await
    }

    /// Over a way of `round_trip`, with a KiB of download and upload each `pace`.
    async fn far(seed: u64, round_trip: Duration, pace: Duration) -> Self {
        let world = World::start().await;
        let path = Path::to(world.quic, seed).await;
        let usual = Faults {
            rate: Some(Rate::with_usual_queue(RATE, Duration::from_millis(200))),
            ..Faults::far(round_trip)
        };
        path.set(usual);
        let mix = Mix::start(pace).await;
        let agent = mix.agent(&world, &path).await;
        Self {
            world,
            path,
            mix,
            agent,
            usual,
        }
    }

    async fn load(&self) -> Load {
        self.mix.load(self.world.http).await
    }

    /// Ends the load, and looks whether the origin has seen anything twice.
    async fn end(self, load: Load) {
        load.finish().await;
        assert_eq!(self.mix.ledger.doubled(), [0; 0], "POSTs came twice");
        assert!(self.agent.stop().await, "the agent leaves nothing behind");
    }
}

/// Waits until `load` has got on from now, which must be within `bound`.
async fn goes_on(load: &mut Load, bound: Duration) {
    let (took, slowest) = load.resumed(Instant::now()).await;
    println!("went on within {took:?}, {slowest} last");
    assert!(took < bound, "{slowest} went on after {took:?}");
}

const RTT: Duration = Duration::from_millis(40);
const RATE: u64 = 20_000_000;
