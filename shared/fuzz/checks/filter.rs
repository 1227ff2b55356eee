//! A filter is what its words are, each by itself.

use std::sync::{Arc, LazyLock};

use adit_agent::capture::filter::Filter;
use adit_agent::capture::{Capture, Exchange, Limits};
use adit_agent::inspect::har;

static EXCHANGES: LazyLock<Vec<Arc<Exchange>>> = LazyLock::new(|| {
    let capture = Capture::new(Limits::default(), None);
    har::read(ARCHIVE.as_bytes(), &capture).expect("an archive");
    capture.all()
});

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let parsed = text.parse::<Filter>();
    if let Ok(filter) = &parsed {
        assert!(text.len() <= 1024);
        assert_eq!(filter.is_empty(), text.trim().is_empty());
        for exchange in &*EXCHANGES {
            filter.wants(exchange);
        }
    }
    if text.contains('"') || text.len() > 1024 {
        return;
    }
    let words: Result<Vec<Filter>, _> = text.split_whitespace().map(str::parse).collect();
    assert_eq!(words.is_ok(), parsed.is_ok());
    let (Ok(words), Ok(filter)) = (words, parsed) else {
        return;
    };
    for exchange in &*EXCHANGES {
        let each = words.iter().all(|word| word.wants(exchange));
        assert_eq!(filter.wants(exchange), each);
    }
    // A sign before a word turns it around.
    let word = text.trim();
    if !word.starts_with('-') && word.len() < 1024 && words.len() == 1 {
        let other: Filter = format!("-{word}")
            .parse()
            .expect("a word is one with a sign");
        for exchange in &*EXCHANGES {
            assert_ne!(filter.wants(exchange), other.wants(exchange));
        }
    }
}

const ARCHIVE: &str = r#"{"log": {"entries": [
    {"startedDateTime": "2026-01-02T03:04:05.678Z", "time": 250, "comment": "a Note", "request": {
        "method": "POST", "url": "https://app.example/hooks/a?b=c",
        "headers": [{"name": "x-shop", "value": "Acme"}], "postData": {"text": "an Order 12"}},
     "response": {"status": 503, "headers": [{"name": "content-type", "value": "application/json"}],
        "content": {"text": "{}"}}},
    {"request": {"method": "GET", "url": "http://app.example/"}}]}}"#;
