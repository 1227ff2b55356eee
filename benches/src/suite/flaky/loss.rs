//! Downloads over a way that loses packets at random, with our own congestion control and with CUBIC.

use std::time::Duration;

use super::Flaky;
use super::field::{Field, far};
use crate::suite::cases::paths::ENDLESS;
use crate::suite::role::Way;
use crate::suite::transfer::Visitor;

pub(super) async fn run(flaky: &mut Flaky) -> anyhow::Result<()> {
    // Both keep nearly all of a clean way, so there it takes several rounds to tell them apart.
    for (percent, least, rounds) in [(0, None, 3), (1, Some(60.0), 1), (5, Some(40.0), 1)] {
        let (mut ours, mut cubic) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let name = format!("{percent}-{round}");
            ours.push(share(flaky, &format!("bbr-{name}"), percent, &[]).await?);
            let choice = ["--congestion", "cubic"];
            cubic.push(share(flaky, &format!("cubic-{name}"), percent, &choice).await?);
        }
        let (ours, cubic) = (middle(ours), middle(cubic));
        let target = least.map_or_else(
            || "no less than CUBIC".to_owned(),
            |least| format!("at least {least:.0} %"),
        );
        flaky.note(
            &format!("share of 200 Mbit/s, 40 ms, with {percent} % lost"),
            &target,
            &format!("{ours:.1} % (CUBIC {cubic:.1} %)"),
            ours >= least.unwrap_or(cubic),
        );
    }
    Ok(())
}

/// What one download keeps of the way once it is under way, in per cent.
async fn share(flaky: &Flaky, name: &str, lost: u8, more: &[&str]) -> anyhow::Result<f64> {
    let way = Way {
        loss: f64::from(lost) / 100.0,
        ..far(MBIT)
    };
    let field = Field::start_with(flaky, name, way, more).await?;
    let mut visitor = Visitor::of(&field.system).await?;
    let tenths = visitor.sip(ENDLESS, SPAN).await?;
    // Past the start.
    let steady = &tenths[20..];
    let bytes: u64 = steady.iter().sum();
    let seconds = steady.len() as f64 / 10.0;
    Ok(bytes as f64 * 8.0 / seconds / (MBIT * 1e6) * 100.0)
}

fn middle(mut shares: Vec<f64>) -> f64 {
    shares.sort_by(f64::total_cmp);
    shares[shares.len() / 2]
}

const MBIT: f64 = 200.0;
const SPAN: Duration = Duration::from_secs(10);
