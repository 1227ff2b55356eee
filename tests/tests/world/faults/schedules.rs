//! Random faults under random requests, and what must hold however they fall:
//!
//! - no POST reaches the origin twice, and one that was answered has reached it once;
//! - what is answered is exactly what the origin sent, or an error (`Door` sees to that);
//! - nothing at all is lost unless the way was dark for longer than [`KEPT`];
//! - afterwards the tunnel serves again.
//!
//! A failure prints its seed and schedule. `ADIT_SEED=N` begins with that seed, `ADIT_SCHEDULES=N` plays
//! as many.
//!
//! The clock is tokio's own: it jumps to the next timer while nothing is to be done, so that half a
//! minute of darkness takes no time. It would jump over what comes from sockets, too, were there not a
//! timer for each millisecond ([`tick`]). Many worlds share the clock, and the ticks.

use std::time::Duration;

use adit_tests::mix::{Door, Mix, Outcome};
use adit_tests::path::{Faults, Schedule};
use adit_tests::random::Random;
use adit_tests::{Path, World};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

#[tokio::test]
async fn whatever_happens_nothing_comes_twice_and_nothing_is_cut_unseen() {
    let (seed, schedules) = (number("ADIT_SEED", 1), number("ADIT_SCHEDULES", 200));
    play(seed, schedules, Kind::Apart).await;
}

/// A change of address during a cut, a cut during another, all of it under loss.
#[tokio::test]
async fn whatever_happens_at_once_nothing_comes_twice_and_nothing_is_cut_unseen() {
    let (seed, schedules) = (number("ADIT_SEED", 1), number("ADIT_SCHEDULES", 100));
    play(seed, schedules, Kind::Overlapping).await;
}

/// A change of address before heavy loss: the session is superseded while requests are on their way.
#[tokio::test]
async fn what_is_on_its_way_on_a_session_that_was_succeeded_arrives() {
    play(7539, 1, Kind::Apart).await;
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn whatever_happens_ten_thousand_times_nothing_comes_twice() {
    let (seed, schedules) = (number("ADIT_SEED", 1), number("ADIT_SCHEDULES", 10_000));
    play(seed, schedules, Kind::Apart).await;
    play(seed, schedules, Kind::Overlapping).await;
}

/// How faults follow each other.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Each when the one before is over.
    Apart,
    /// As they come, and under more kinds of exchanges.
    Overlapping,
}

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().unwrap())
}

/// Plays the schedules of so many seeds, some at a time.
async fn play(first: u64, count: u64, kind: Kind) {
    let began = std::time::Instant::now();
    let (mut tally, mut failed) = (Tally::default(), 0);
    let seeds: Vec<_> = (first..first + count).collect();
    for batch in seeds.chunks(AT_ONCE) {
        // Not yet under a clock that jumps: a relay's start waits for threads.
        let mut games = Vec::new();
        for &seed in batch {
            games.push(Game::start(seed, kind).await);
        }
        tokio::time::pause();
        let mut playing = JoinSet::new();
        for game in games {
            playing.spawn(game.play());
        }
        let mut ticks = JoinSet::new();
        ticks.spawn(tick());
        while let Some(ended) = playing.join_next().await {
            match ended {
                Ok(seen) => tally.add(&seen),
                Err(_) => failed += 1,
            }
        }
        tokio::time::resume();
    }
    println!(
        "{count} schedules, {kind:?}, in {:?}: {tally:?}",
        began.elapsed()
    );
    assert_eq!(failed, 0, "schedules failed; their seeds are above");
}

/// Lets a clock that jumps jump by no more than a millisecond.
async fn tick() {
    loop {
        sleep(Duration::from_millis(1)).await;
    }
}

/// What came of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    whole: u64,
    refused: u64,
    cut: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.whole += other.whole;
        self.refused += other.refused;
        self.cut += other.cut;
    }
}

/// One schedule, and what it happens to.
struct Game {
    kind: Kind,
    schedule: Schedule,
    random: Random,
    world: World,
    path: Path,
    mix: Mix,
    _agent: adit_tests::world::Agent,
}

impl Game {
    async fn start(seed: u64, kind: Kind) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let longest = Duration::from_secs(random.pick(&[1, 3, 3, 10, 40]));
        let schedule = match kind {
            Kind::Apart => Schedule::random(seed, 6, SPAN, longest),
            Kind::Overlapping => Schedule::overlapping(seed, 8, SPAN, longest),
        };
        let world = World::start().await;
        let path = Path::to(world.quic, seed).await;
        let mix = Mix::start(Duration::from_millis(10)).await;
        let agent = mix.agent(&world, &path).await;
        Self {
            kind,
            schedule,
            random,
            world,
            path,
            mix,
            _agent: agent,
        }
    }

    async fn play(mut self) -> Tally {
        let outcome = std::panic::AssertUnwindSafe(self.run());
        let ended = futures_util::FutureExt::catch_unwind(outcome).await;
        ended.unwrap_or_else(|panic| {
            println!("failed, {:?}: {}", self.kind, self.schedule);
            std::panic::resume_unwind(panic)
        })
    }

    async fn run(&mut self) -> Tally {
        let door = self.mix.door(self.world.http);
        let mut requests = JoinSet::new();
        let mut posts = Vec::new();
        for id in 1..=REQUESTS {
            let wait = SPAN.mul_f64(self.random.share());
            let kind = self.random.below(match self.kind {
                Kind::Apart => 4,
                Kind::Overlapping => 6,
            });
            if matches!(kind, 2 | 3) {
                posts.push(id);
            }
            let door = door.clone();
            requests.spawn(async move {
                sleep(wait).await;
                let answer = timeout(PATIENCE, ask(&door, kind, id)).await;
                (id, answer.expect("an answer, though late"))
            });
        }
        self.schedule.run(&self.path).await;
        let mut tally = Tally::default();
        while let Some(ended) = requests.join_next().await {
            let (id, outcome) = ended.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
            if outcome == Outcome::Whole && posts.contains(&id) {
                assert_eq!(self.mix.ledger.delivered(id), 1, "an answered POST came");
            }
            match outcome {
                Outcome::Whole => tally.whole += 1,
                _ if self.schedule.dark() < KEPT => panic!("request {id} was lost: {outcome:?}"),
                Outcome::Refused(..) => tally.refused += 1,
                Outcome::Cut => tally.cut += 1,
            }
        }
        assert_eq!(self.mix.ledger.doubled(), [0; 0], "POSTs came twice");
        self.path.set(Faults::default());
        let (restored, really) = (Instant::now(), std::time::Instant::now());
        while door.small(1).await != Outcome::Whole {
            let is_late = restored.elapsed() > BACK && really.elapsed() > BACK;
            assert!(!is_late, "the tunnel does not come back");
            sleep(Duration::from_millis(100)).await;
        }
        tally
    }
}

async fn ask(door: &Door, kind: u64, id: u64) -> Outcome {
    match kind {
        0 => door.small(id).await,
        1 => door.download(id, 60_000).await,
        2 => door.post(id, 700).await,
        3 => door.post_in_pieces(id, 40_000).await,
        // Both last for about two seconds.
        4 => door.slow(id, 200_000).await,
        _ => door.socket(id, 40).await,
    }
}

/// What a schedule's faults begin within.
const SPAN: Duration = Duration::from_secs(6);
/// Requests beside each schedule.
const REQUESTS: u64 = 12;
/// Worlds that share a clock.
const AT_ONCE: usize = 20;
/// Darkness through which nothing is lost.
const KEPT: Duration = Duration::from_secs(25);
/// How long an answer may take at most: the longest darkness, and what comes on top.
const PATIENCE: Duration = Duration::from_secs(300);
/// How soon the tunnel serves again, at the latest: by the clock that jumps and by the one that does not, since names and
/// the disk are asked by threads that have only the latter.
const BACK: Duration = Duration::from_secs(60);
