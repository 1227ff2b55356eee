//! Whether two runs may be compared at all.
//!
//! The URL may differ: comparing two tunnels is one use of a comparison. So may the length of the runs.

use crate::result::LoadResult;

/// A field in which two runs differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Its name in the result's file.
    pub field: &'static str,
    /// In the earlier run.
    pub old: String,
    /// In the later run.
    pub new: String,
}

/// Differences that forbid a verdict: another load, or another machine.
pub(super) fn differences(new: &LoadResult, old: &LoadResult) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut check = |field, old: String, new: String| {
        if old != new {
            found.push(Difference { field, old, new });
        }
    };
    check("format", old.format.clone(), new.format.clone());
    let (was, is) = (&old.plan, &new.plan);
    check("plan.protocol", was.protocol.clone(), is.protocol.clone());
    check("plan.work", was.work.clone(), is.work.clone());
    let rate = |rate: Option<f64>| match rate {
        Some(rate) => rate.to_string(),
        None => "none (closed loop)".into(),
    };
    check("plan.rate", rate(was.rate), rate(is.rate));
    check(
        "plan.connections",
        was.connections.to_string(),
        is.connections.to_string(),
    );
    check(
        "plan.streams",
        was.streams.to_string(),
        is.streams.to_string(),
    );
    check("plan.body", was.body.clone(), is.body.clone());
    let (was, is) = (&old.machine, &new.machine);
    check("machine.system", was.system.clone(), is.system.clone());
    check(
        "machine.processor",
        was.processor.clone(),
        is.processor.clone(),
    );
    check("machine.cores", was.cores.to_string(), is.cores.to_string());
    // Another kernel keeps some for itself: not another machine.
    if was.memory.abs_diff(is.memory) > was.memory / 20 {
        check(
            "machine.memory",
            was.memory.to_string(),
            is.memory.to_string(),
        );
    }
    found
}

/// What a reader should bear in mind, though it forbids no verdict.
pub(super) fn notes(new: &LoadResult, old: &LoadResult) -> Vec<String> {
    let mut notes = Vec::new();
    let (was, is) = (&old.plan, &new.plan);
    if was.url != is.url {
        notes.push(format!(
            "Two URLs are compared: {} before, {} now.",
            was.url, is.url
        ));
    }
    if was.duration_s != is.duration_s || was.warmup_s != is.warmup_s {
        notes.push(format!(
            "The lengths differ: {} s after {} s of warm-up before, {} s after {} s now.",
            was.duration_s, was.warmup_s, is.duration_s, is.warmup_s
        ));
    }
    if was.rate.is_some() && was.rate == is.rate {
        notes.push(
            "The plan set the rate of requests: it changes only where it was not kept up.".into(),
        );
    }
    for (when, run) in [("earlier", old), ("later", new)] {
        let errors: u64 = run.totals.errors.values().sum();
        if errors > run.totals.ok {
            notes.push(format!(
                "Most requests of the {when} run failed: its latencies are those of the few that did not."
            ));
        }
    }
    notes
}
