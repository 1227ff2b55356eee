//! The agent's address changes, as a NAT changes it: the agent notices nothing by itself.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::field::{Field, far};
use super::lasting::Lasting;
use super::{Flaky, middle_and_worst, ms};
use crate::suite::load::Load;
use crate::suite::role::Way;
use crate::suite::transfer::Visitor;

/// Requests, 64 at a time, over 60 changes.
pub(super) async fn requests(flaky: &mut Flaky) -> anyhow::Result<()> {
    let mut field = Field::start(flaky, "requests", far(0.0)).await?;
    field
        .set(Way {
            rebind_ms: 500,
            ..far(0.0)
        })
        .await?;
    let load = Load::closed("1024", 64, Duration::from_secs(31));
    let loaded = load.run(&flaky.place, &field.system).await?;
    let moves = field.mend().await?;
    let failed = loaded.failed();
    flaky.note(
        &format!("requests failed over {moves} address changes, 64 at a time"),
        "0",
        &format!("{failed} of {}", loaded.0.totals.ok + failed),
        failed == 0 && moves >= 60,
    );
    Ok(())
}

/// How long a download and an upload stand still at each of 60 changes.
pub(super) async fn stalls(flaky: &mut Flaky) -> anyhow::Result<()> {
    for up in [false, true] {
        let mut field = Field::start(flaky, if up { "rise" } else { "fall" }, far(50.0)).await?;
        let lasting = if up {
            Lasting::up(&field.system, &field.sink).await?
        } else {
            Lasting::down(&field.system).await?
        };
        // Past the start.
        sleep(Duration::from_secs(2)).await;
        let mut pauses = Vec::new();
        for _ in 0..60 {
            let moment = Instant::now();
            field.change().await?;
            sleep(SPAN).await;
            pauses.push(lasting.pause(moment, SPAN));
        }
        let (middle, worst) = middle_and_worst(pauses);
        flaky.note(
            &format!("longest stall of the {} by a change, 40 ms", lasting.name),
            "p99 under 300 ms",
            &format!("p50 {}, worst of 60 {}", ms(middle), ms(worst)),
            worst < Duration::from_millis(300),
        );
    }
    Ok(())
}

/// A gibibyte through ten changes and a cut.
pub(super) async fn download(flaky: &mut Flaky) -> anyhow::Result<()> {
    let mut field = Field::start(flaky, "download", far(800.0)).await?;
    let mut visitor = Visitor::of(&field.system).await?;
    let began = Instant::now();
    let trouble = async {
        for number in 0..10 {
            sleep(Duration::from_millis(700)).await;
            field.change().await?;
            if number == 5 {
                field.cut().await?;
                sleep(Duration::from_secs(5)).await;
                field.mend().await?;
            }
        }
        anyhow::Ok(began.elapsed())
    };
    let (done, trouble) = tokio::join!(visitor.words(GIB), trouble);
    let (took, trouble) = (began.elapsed(), trouble?);
    let found = match &done {
        Ok(()) => format!("whole, in {:.1} s", took.as_secs_f64()),
        Err(error) => format!("{error:#}"),
    };
    flaky.note(
        "1 GiB down through 10 changes and a 5 s cut",
        "whole, bytes identical",
        &found,
        done.is_ok() && took > trouble,
    );
    Ok(())
}

const GIB: u64 = 1 << 30;
const SPAN: Duration = Duration::from_millis(700);
