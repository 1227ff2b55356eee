//! An archive that is taken is written again with the same in it, and that is taken too.

use adit_agent::capture::{Capture, Limits};
use adit_agent::inspect::har;
use serde_json::Value;

pub(crate) fn check(data: &[u8]) {
    let Some((first, count)) = again(data) else {
        return;
    };
    let text = first.to_string();
    let (second, same) = again(text.as_bytes()).expect("what was written is taken");
    assert_eq!(count, same);
    assert_eq!(entries(&second), entries(&first));
}

/// What is written of what was read, and how much that is.
fn again(archive: &[u8]) -> Option<(Value, usize)> {
    let capture = Capture::new(Limits::default(), None);
    let ids = har::read(archive, &capture).ok()?;
    let all = capture.all();
    assert!(all.len() <= ids.len());
    // Without secrets there is as much.
    let masked = har::write(&all, false);
    let written = har::write(&all, true);
    assert_eq!(entries(&masked).len(), all.len());
    Some((written, all.len()))
}

/// The entries but for what differs each time: their numbers, and times in fractions of a millisecond.
fn entries(archive: &Value) -> Vec<Value> {
    let entries = archive["log"]["entries"].as_array().expect("entries");
    let mut entries = entries.clone();
    for entry in &mut entries {
        let entry = entry.as_object_mut().expect("an entry");
        for own in ["_id", "time", "timings"] {
            entry.remove(own);
        }
    }
    entries
}
