//! Small requests while another exchange of the same agent is in trouble.

use std::time::Duration;

use super::Flaky;
use super::field::{Field, far};
use crate::suite::cases::paths::ENDLESS;
use crate::suite::load::Load;
use crate::suite::role::Way;
use crate::suite::transfer::Visitor;

pub(super) async fn run(flaky: &mut Flaky) -> anyhow::Result<()> {
    for (what, loss) in [
        ("stopped reading", 0.0),
        ("is a download and 5 % are lost", 0.05),
    ] {
        let way = Way { loss, ..far(200.0) };
        let name = if loss > 0.0 { "lossy" } else { "stopped" };
        let field = Field::start(flaky, name, way).await?;
        let mut ratios = Vec::new();
        let (mut without, mut with) = (0, 0);
        for _ in 0..ROUNDS {
            without = p99(flaky, &field).await?;
            let mut visitor = Visitor::of(&field.system).await?;
            if loss > 0.0 {
                let (other, beside) = tokio::join!(visitor.sip(ENDLESS, SPAN), p99(flaky, &field));
                other?;
                with = beside?;
            } else {
                visitor.ask(&ENDLESS.to_string()).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                with = p99(flaky, &field).await?;
            }
            ratios.push(with as f64 / without as f64);
        }
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ROUNDS / 2];
        flaky.note(
            &format!("p99 of small requests while another {what}, beside that without"),
            "within 1.3 times",
            &format!(
                "{ratio:.2} times ({:.0} and {:.0} ms in the last round)",
                with as f64 / 1e3,
                without as f64 / 1e3
            ),
            ratio <= 1.3,
        );
    }
    Ok(())
}

/// In microseconds.
async fn p99(flaky: &Flaky, field: &Field) -> anyhow::Result<u64> {
    let load = Load::open("1024", 64, 300.0, SPAN);
    let loaded = load.run(&flaky.place, &field.system).await?;
    Ok(loaded.0.service.p99_us)
}

const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(4);
