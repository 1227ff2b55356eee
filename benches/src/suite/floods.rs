//! What becomes of a relay, and of everybody else's requests, while somebody floods it: docs/floods.md.
//!
//! Each kind of flood has a relay of its own, with the limits per address that a public one has by default.
//! The flooder is a process with an address of its own (127.0.0.2) and the lowest priority: on a small
//! machine its own work would be measured otherwise.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::load::Load;
use super::program::Program;
use super::role::FloodKind;
use super::systems::{self, Place, System, text};
use super::table::Table;
use super::{Scratch, say, tell};

/// Runs the floods called so, or all of them, for so long each, and prints a table. False when a target was
/// missed, a relay lost, or a flood could not be run.
///
/// # Errors
///
/// When the setting cannot be made at all.
pub(crate) async fn run(only: &[FloodKind], span: Duration) -> anyhow::Result<bool> {
    let scratch = Scratch::new()?;
    let place = scratch.place()?;
    let (_origin, origin) = systems::origin(&place).await?;
    let mut table = Table::new([
        "flood",
        "sent a second",
        "refused or cut",
        "RSS before, peak, after (MiB)",
        "p99 without, with (ms)",
        "failed beside it",
        "met",
    ]);
    let mut complete = true;
    for kind in FloodKind::ALL {
        if !only.is_empty() && !only.contains(kind) {
            continue;
        }
        tell(&format!("{} …", kind.name()));
        match flood(&place, &origin, *kind, span).await {
            Ok(found) => {
                complete &= found.is_met();
                table.row(found.row(*kind, span));
            }
            Err(error) => {
                tell(&format!("{} failed: {error:#}", kind.name()));
                complete = false;
            }
        }
    }
    say(&table.markdown());
    Ok(complete)
}

/// What was found.
struct Found {
    sent: u64,
    ended: u64,
    /// Resident memory of the relay in bytes.
    before: u64,
    peak: u64,
    after: u64,
    /// Microseconds.
    without: u64,
    with: u64,
    failed: u64,
}

impl Found {
    /// Whether everybody else was served as well as before, and the relay did not grow.
    fn is_met(&self) -> bool {
        // Below two milliseconds it is the scheduler that is measured.
        let is_fast = self.with <= (2 * self.without).max(SMALL);
        is_fast && self.peak <= self.before + ROOM && self.failed == 0
    }

    fn row(&self, kind: FloodKind, span: Duration) -> [String; 7] {
        let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        let ms = |us: u64| format!("{:.1}", us as f64 / 1e3);
        let met = if self.is_met() { "yes" } else { "no" };
        [
            kind.name().to_owned(),
            format!("{:.0}", self.sent as f64 / span.as_secs_f64()),
            self.ended.to_string(),
            format!(
                "{}, {}, {}",
                mib(self.before),
                mib(self.peak),
                mib(self.after)
            ),
            format!("{}, {}", ms(self.without), ms(self.with)),
            self.failed.to_string(),
            met.to_owned(),
        ]
    }
}

async fn flood(
    place: &Place,
    origin: &System,
    kind: FloodKind,
    span: Duration,
) -> anyhow::Result<Found> {
    let scene = Scene::start(place, origin, kind).await?;
    let system = &scene.system;
    let load = Load::open("1024", CONNECTIONS, RATE, span);
    let without = load.run(place, system).await?.0.latency.p99_us;
    let relay = system.programs.first().context("a relay")?;
    let before = relay.usage()?.rss;
    let flooder = Flooder::start(place, &scene, kind).await?;
    sleep(HEAD_START).await;
    let beside = load.start(place, system)?.end();
    let (loaded, peak) = tokio::join!(beside, watch(relay, span));
    let (loaded, peak) = (loaded?, peak?);
    let (sent, ended) = flooder.end().await?;
    sleep(SETTLE).await;
    let after = relay.usage().context("the relay is lost")?.rss;
    // It serves as ever.
    Load::closed("1024", 1, Duration::from_millis(200))
        .run(place, system)
        .await?;
    Ok(Found {
        sent,
        ended,
        before,
        peak: peak.max(after),
        after,
        without,
        with: loaded.0.latency.p99_us,
        failed: loaded.failed(),
    })
}

/// A relay as a public one is, but for where it listens: with limits per address, and tokens. Its agent carries
/// everybody's load.
struct Scene {
    system: System,
    /// The token of whoever floods.
    token: String,
    /// Whom the flood is against.
    host: String,
    /// Another tunnel, if the flood is of that.
    _busy: Option<[Program; 2]>,
}

impl Scene {
    async fn start(place: &Place, origin: &System, kind: FloodKind) -> anyhow::Result<Self> {
        let name = kind.name();
        let state = text(&place.directory(&format!("relay-{name}"))?)?;
        let good = token(place, &state, "good").await?;
        let evil = token(place, &state, "evil").await?;
        let of_agent = ["--token-file", &good];
        let system = systems::adit(place, name, origin.http, LIMITS, &of_agent).await?;
        let (mut host, mut busy) = (system.host.clone(), None);
        if kind == FloodKind::BusyTunnel {
            let (program, origin) = systems::origin(place).await?;
            let (quic, ca) = (system.quic.context("no QUIC")?, system.ca.as_deref());
            let of_agent = ["--token-file", &evil];
            let ca = ca.context("no CA")?;
            let agent = systems::agent(place, "busy", origin.http, quic, ca, &of_agent).await?;
            // Elsewhere they would have processors of their own.
            agent.yield_to_others()?;
            program.yield_to_others()?;
            host = "busy.localhost".into();
            busy = Some([program, agent]);
        }
        Ok(Self {
            system,
            token: evil,
            host,
            _busy: busy,
        })
    }
}

/// A file with a fresh token for the relay that keeps its state there.
async fn token(place: &Place, state: &str, label: &str) -> anyhow::Result<String> {
    let arguments = ["token", "create", "--state-dir", state, "--label", label];
    let relay = place.ours("relay")?;
    let made = Program::start("token", &relay, &arguments, &place.scratch)?;
    let token = made.output(Duration::from_secs(10)).await?;
    let file = Path::new(state).join(format!("{label}.token"));
    std::fs::write(&file, token)?;
    text(&file)
}

/// The most memory that `program` has while `span` lasts.
async fn watch(program: &Program, span: Duration) -> anyhow::Result<u64> {
    let (mut peak, began) = (0, Instant::now());
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < span {
        ticks.tick().await;
        peak = program.usage()?.rss.max(peak);
    }
    Ok(peak)
}

/// The process that floods.
struct Flooder(Program);

impl Flooder {
    async fn start(place: &Place, scene: &Scene, kind: FloodKind) -> anyhow::Result<Self> {
        let system = &scene.system;
        let ca = text(system.ca.as_deref().context("no CA")?)?;
        let addresses = [Some(system.http), system.https, system.quic];
        let [http, https, quic] = addresses.map(|address| {
            address
                .map(|address| address.to_string())
                .context("no address")
        });
        let (http, https, quic) = (http?, https?, quic?);
        let arguments = [
            "flood",
            kind.name(),
            "--http",
            &http,
            "--https",
            &https,
            "--quic",
            &quic,
            "--host",
            &scene.host,
            "--ca",
            &ca,
            "--token-file",
            &scene.token,
        ];
        let mut program = Program::role("flood", &arguments, &place.scratch)?;
        program.json::<()>().await?;
        Ok(Self(program))
    }

    /// How much was sent, and how much of it was refused or cut.
    async fn end(mut self) -> anyhow::Result<(u64, u64)> {
        let told = self.0.ask(&json!({})).await?;
        let number = |key: &str| told[key].as_u64().context("a flood that tells nothing");
        Ok((number("sent")?, number("ended")?))
    }
}

/// What a public relay has by default.
const LIMITS: &[&str] = &[
    "--open=false",
    "--limit=connections-per-address=512",
    "--limit=connects-per-address=200",
    "--limit=exchanges-per-address=512",
    "--limit=handshakes-per-address=128",
];
/// The load of everybody else: so many requests a second over so many connections.
const RATE: f64 = 200.0;
const CONNECTIONS: usize = 16;
/// The flood has begun by then.
const HEAD_START: Duration = Duration::from_millis(500);
/// What is freed is freed by then.
const SETTLE: Duration = Duration::from_secs(1);
/// Microseconds.
const SMALL: u64 = 2_000;
/// Bytes that a relay may grow by.
const ROOM: u64 = 256 << 20;
