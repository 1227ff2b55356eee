//! One of the programs is killed and started again.

use std::time::{Duration, Instant};

use super::{Flaky, middle_and_worst, ms};
use crate::suite::systems::{self, Relay, System};
use crate::suite::transfer::{Visitor, reachable};

const ROUNDS: usize = 5;

/// From the agent's start to its first answer.
pub(super) async fn agent(flaky: &mut Flaky) -> anyhow::Result<()> {
    let place = &flaky.place;
    let relay = Relay::start(place, "relay-killed-agent", &[]).await?;
    let ready = relay.ready.clone();
    let start = || {
        systems::agent(
            place,
            "killed",
            flaky.origin.http,
            ready.quic,
            &ready.ca,
            &[],
        )
    };
    let mut system = system(start().await?, "killed", &ready);
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        Visitor::of(&system).await?.download(1024).await?;
        if let Some(agent) = system.programs.pop() {
            agent.kill().await?;
        }
        let began = Instant::now();
        system.programs.push(start().await?);
        Visitor::of(&system).await?.download(1024).await?;
        spans.push(began.elapsed());
    }
    note(
        flaky,
        "name back and serving after the agent was killed and started",
        spans,
        1,
    );
    Ok(())
}

/// From the relay's start to the first answer of an agent that has been there before.
pub(super) async fn relay(flaky: &mut Flaky) -> anyhow::Result<()> {
    let place = &flaky.place;
    let mut relay = Relay::start(place, "relay-killed", &[]).await?;
    let ready = relay.ready.clone();
    let agent = systems::agent(
        place,
        "stays",
        flaky.origin.http,
        ready.quic,
        &ready.ca,
        &[],
    )
    .await?;
    let system = system(agent, "stays", &ready);
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        Visitor::of(&system).await?.download(1024).await?;
        // Long enough to be no start of a session.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let began = Instant::now();
        relay = relay.kill_and_start(place, "relay-killed", &[]).await?;
        reachable(&system).await?;
        spans.push(began.elapsed());
    }
    drop(relay);
    note(
        flaky,
        "agent serving again after the relay was killed and started",
        spans,
        2,
    );
    Ok(())
}

fn system(agent: crate::suite::program::Program, name: &str, ready: &systems::Ready) -> System {
    System {
        name: "adit",
        host: format!("{name}.localhost"),
        http: ready.http,
        https: None,
        quic: None,
        ca: None,
        programs: vec![agent],
    }
}

fn note(flaky: &mut Flaky, measure: &str, spans: Vec<Duration>, seconds: u64) {
    let (middle, worst) = middle_and_worst(spans);
    flaky.note(
        measure,
        &format!("under {seconds} s"),
        &format!("{}, at worst {}", ms(middle), ms(worst)),
        worst < Duration::from_secs(seconds),
    );
}
