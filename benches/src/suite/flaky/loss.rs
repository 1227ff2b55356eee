//! Transfers over a way that loses packets at random, with our own congestion control and with CUBIC, which
//! take turns on one machine.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use super::Flaky;
use super::field::{Field, far};
use crate::suite::cases::paths::ENDLESS;
use crate::suite::figures::median;
use crate::suite::role::Way;
use crate::suite::transfer::Visitor;

pub(super) async fn run(flaky: &mut Flaky) -> anyhow::Result<()> {
    // Both keep nearly all of a clean way, so there it takes several rounds to tell them apart.
    for (percent, least, rounds) in [(0, None, 7), (1, Some(60.0), 1), (5, Some(40.0), 1)] {
        for direction in [Direction::Down, Direction::Up] {
            let (mut ours, mut cubic) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                let name = format!("{}-{percent}-{round}", direction.name());
                let bbr = format!("bbr-{name}");
                ours.push(share(flaky, &bbr, direction, percent, &[]).await?);
                let choice = ["--congestion", "cubic"];
                let name = format!("cubic-{name}");
                cubic.push(share(flaky, &name, direction, percent, &choice).await?);
            }
            let target = least.map_or_else(
                || "no less than CUBIC".to_owned(),
                |least| format!("at least {least:.0} %"),
            );
            flaky.note(
                &format!(
                    "share of 200 Mbit/s, 40 ms, {}, with {percent} % lost",
                    direction.name()
                ),
                &target,
                &format!("{} (CUBIC {})", told(&ours), told(&cubic)),
                // By less than its own rounds differ, CUBIC is not the better one.
                median(&ours) >= least.unwrap_or_else(|| least_of(&cubic)),
            );
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Direction {
    /// The agent sends.
    Down,
    /// The relay does.
    Up,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }
}

/// What one transfer keeps of the way once it is under way, in per cent.
async fn share(
    flaky: &Flaky,
    name: &str,
    direction: Direction,
    lost: u8,
    more: &[&str],
) -> anyhow::Result<f64> {
    let way = Way {
        loss: f64::from(lost) / 100.0,
        ..far(MBIT)
    };
    let field = Field::start_with(flaky, name, way, more).await?;
    let mut visitor = Visitor::of(&field.system).await?;
    let bytes = match direction {
        Direction::Down => {
            let tenths = visitor.sip(ENDLESS, SPAN).await?;
            tenths[20..].iter().sum()
        }
        Direction::Up => uploaded(&field, &mut visitor).await?,
    };
    let seconds = (SPAN - START).as_secs_f64();
    Ok(bytes as f64 * 8.0 / seconds / (MBIT * 1e6) * 100.0)
}

/// What comes of an upload after its start.
async fn uploaded(field: &Field, visitor: &mut Visitor) -> anyhow::Result<u64> {
    visitor.begin_upload(ENDLESS).await?;
    let block = vec![b'x'; BLOCK];
    let pour = async {
        loop {
            visitor.stream().write_all(&block).await?;
        }
    };
    let measure = async {
        sleep(START).await;
        let before = field.sink.taken();
        sleep(SPAN - START).await;
        field.sink.taken() - before
    };
    tokio::select! {
        bytes = measure => Ok(bytes),
        ended = pour => ended,
    }
}

/// The middle of the rounds; of several also the least and the most.
fn told(shares: &[f64]) -> String {
    let middle = median(shares);
    if let [_] = shares {
        return format!("{middle:.1} %");
    }
    let most = shares.iter().copied().fold(0.0, f64::max);
    format!("{middle:.2} %, {:.2} to {most:.2}", least_of(shares))
}

fn least_of(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(f64::INFINITY, f64::min)
}

const MBIT: f64 = 200.0;
const SPAN: Duration = Duration::from_secs(10);
/// What the start takes is not counted.
const START: Duration = Duration::from_secs(2);
const BLOCK: usize = 64 << 10;
