//! A relay and an agent, and a way between them that fails when told.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Deserialize;

use super::Flaky;
use super::sink::Sink;
use crate::suite::cases::paths::{ETHERNET, FAR};
use crate::suite::program::Program;
use crate::suite::role::Way;
use crate::suite::systems::{self, Relay, System};

/// A tunnel over a way of our own.
pub(super) struct Field {
    /// The tunnel, for visitors; its program is the agent.
    pub system: System,
    path: Program,
    way: Way,
    /// What stands before the origin.
    pub sink: Sink,
    _relay: Program,
}

impl Field {
    /// One whose way is like that when all is well.
    pub(super) async fn start(flaky: &Flaky, name: &str, way: Way) -> anyhow::Result<Self> {
        Self::start_with(flaky, name, way, &[]).await
    }

    /// The same, with further arguments for relay and agent alike.
    pub(super) async fn start_with(
        flaky: &Flaky,
        name: &str,
        way: Way,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct At {
            address: SocketAddr,
        }
        let place = &flaky.place;
        let [of_relay, of_agent] = FAR.map(|far| [far, more].concat());
        let relay = Relay::start(place, &format!("relay-{name}"), &of_relay).await?;
        let to = relay.ready.quic.to_string();
        let mut path = Program::role(&format!("path-{name}"), &["path", &to], &place.scratch)?;
        let At { address } = path.json().await?;
        path.ask(&serde_json::to_value(way)?).await?;
        let sink = Sink::before(flaky.origin.http).await?;
        let agent = systems::agent(
            place,
            name,
            sink.address,
            address,
            &relay.ready.ca,
            &of_agent,
        )
        .await?;
        let system = System {
            name: "adit",
            host: format!("{name}.localhost"),
            http: relay.ready.http,
            https: None,
            quic: None,
            ca: None,
            programs: vec![agent],
        };
        Ok(Self {
            system,
            path,
            way,
            sink,
            _relay: relay.program,
        })
    }

    /// Makes the way like this, and says how often the agent's address has changed.
    pub(super) async fn set(&mut self, way: Way) -> anyhow::Result<u64> {
        let answer = self.path.ask(&serde_json::to_value(way)?).await?;
        answer["moves"]
            .as_u64()
            .context("a path that tells nothing")
    }

    /// Makes it as it is when all is well.
    pub(super) async fn mend(&mut self) -> anyhow::Result<u64> {
        self.set(self.way).await
    }

    /// Nothing gets through any more.
    pub(super) async fn cut(&mut self) -> anyhow::Result<()> {
        let cut = Way {
            cut: true,
            ..self.way
        };
        self.set(cut).await?;
        Ok(())
    }

    /// The agent's address changes, as the relay sees it.
    pub(super) async fn change(&mut self) -> anyhow::Result<()> {
        let change = Way {
            rebind_now: true,
            ..self.way
        };
        self.set(change).await?;
        Ok(())
    }
}

/// 40 ms there and back, and so many Mbit/s.
pub(super) fn far(mbit: f64) -> Way {
    Way {
        delay_ms: 20.0,
        mbit,
        queue_ms: 40.0,
        mtu: ETHERNET,
        ..Way::default()
    }
}
