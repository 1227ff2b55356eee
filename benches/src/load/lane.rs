//! One lane: a request at a time, from the first to the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::record::{Meter, Times};
use super::tally::Tally;
use crate::client::Client;
use crate::client::deadline::Deadline;
use crate::failure::Answer;
use crate::plan::{Plan, Work};
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
    let is_feed = plan.work == Work::Events;
    let tally = Tally::new(meter.clone(), is_feed);
    let mut deadline = Deadline::new(plan.timeout);
    let mut now = Instant::now();
    while let Some(due) = pace.next(now).await {
        let began = if due > now { Instant::now() } else { now };
        let body = plan.bodies.draw(&mut dice);
        tally.begin(began);
        let exchange = client.exchange(&body, &tally);
        let answer = deadline.within(|| tally.since(began), exchange).await;
        let ended = Instant::now();
        let times = Times { due, began, ended };
        let status = answer.as_ref().ok().and_then(Answer::counted);
        let outcome = answer.and_then(Answer::verdict);
        tally.flush(ended);
        now = ended;
        // A feed that ended is no event.
        let is_over = is_feed && outcome.is_ok();
        if !is_over {
            meter.count(times, status, &outcome);
        }
        let is_hopeless = outcome.is_err_and(|failure| failure.is_at_once());
        if is_over || (is_hopeless && plan.rate.is_none()) {
            // Nothing is learned from how fast a connection can be refused.
            tokio::time::sleep(PAUSE).await;
            now = Instant::now();
        }
    }
}

const PAUSE: Duration = Duration::from_millis(100);
