//! One lane: a request at a time, from the first to the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::record::{Meter, Times};
use super::tally::Tally;
use crate::client::Client;
use crate::client::deadline::Deadline;
use crate::failure::Answer;
use crate::plan::Plan;
use crate::sizes::Dice;

/// Sends requests as `pace` says until there are no more. Dropping it cancels the last.
pub(super) async fn run(
    mut client: Client,
    number: u64,
    plan: Arc<Plan>,
    pace: Arc<Pace>,
    meter: Arc<Meter>,
) {
    let mut dice = Dice::new(number + 1);
    let mut tally = Tally::new(meter.clone());
    let mut deadline = Deadline::new(plan.timeout);
    let mut now = Instant::now();
    while let Some(due) = pace.next(now).await {
        let began = if due > now { Instant::now() } else { now };
        let body = plan.bodies.draw(&mut dice);
        let exchange = client.exchange(&body, &mut tally);
        let answer = deadline.within(began, exchange).await;
        let ended = Instant::now();
        let times = Times { due, began, ended };
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let outcome = answer.and_then(Answer::verdict);
        tally.flush(ended);
        meter.count(times, status, &outcome);
        now = ended;
        let is_hopeless = outcome.is_err_and(|failure| failure.is_at_once());
        if is_hopeless && plan.rate.is_none() {
            // Nothing is learned from how fast a connection can be refused.
            tokio::time::sleep(PAUSE).await;
            now = Instant::now();
        }
    }
}

const PAUSE: Duration = Duration::from_millis(100);
