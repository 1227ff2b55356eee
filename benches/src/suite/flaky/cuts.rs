//! Nothing gets through for a while.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::field::{Field, far};
use super::lasting::Lasting;
use super::{Flaky, middle_and_worst, ms};
use crate::suite::transfer::Visitor;

pub(super) async fn run(flaky: &mut Flaky) -> anyhow::Result<()> {
    for (seconds, new, going) in [(5, 250, 1000), (15, 500, 2000), (25, 500, 2000)] {
        let mut field = Field::start(flaky, &format!("cut-{seconds}"), far(50.0)).await?;
        let mut all = [
            Lasting::down(&field.system).await?,
            Lasting::up(&field.system, &field.sink).await?,
            Lasting::events(&field.system).await?,
        ];
        let (mut first, mut on) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            sleep(Duration::from_secs(2)).await;
            field.cut().await?;
            sleep(Duration::from_secs(seconds)).await;
            let mut visitor = Visitor::of(&field.system).await?;
            field.mend().await?;
            let moment = Instant::now();
            visitor.download(1024).await?;
            first.push(moment.elapsed());
            for lasting in &mut all {
                on.push(lasting.after(moment).await?);
            }
        }
        let mut note = |what: &str, spans, target: u64| {
            let (middle, worst) = middle_and_worst(spans);
            let target = Duration::from_millis(target);
            flaky.note(
                &format!("after a cut of {seconds} s, 40 ms: {what}"),
                &format!("under {}", ms(target)),
                &format!("{}, at worst {}", ms(middle), ms(worst)),
                worst < target,
            );
        };
        note("a new exchange is answered", first, new);
        note("exchanges in flight go on", on, going);
    }
    Ok(())
}

const ROUNDS: usize = 3;
