//! Whose a request is.

use std::sync::LazyLock;

use super::message::Message;
use super::scheme::{Mark, Provider, Source};
use super::table::{ALIASES, PROVIDERS};
use crate::wire::fields::{Fields, MAX_NAME};

/// The provider of this name, or of a name that stands for it.
pub fn provider(name: &str) -> Option<&'static Provider> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// The provider whose request has these fields. No more than a guess: anybody can send them.
///
/// It is asked of every request with a body, so it looks at few things.
pub fn recognise(fields: &Fields) -> Option<&'static Provider> {
    let marks = &*MARKS;
    let mut first: Option<usize> = None;
    for (name, value) in fields {
        let Some(of_length) = marks.get(name.len()) else {
            continue;
        };
        for (row, mark, start) in of_length {
            let is_there = mark.as_bytes() == name && value.starts_with(start.as_bytes());
            if is_there && first.is_none_or(|first| *row < first) {
                first = Some(*row);
            }
        }
    }
    first.and_then(|row| PROVIDERS.get(row))
}

impl Provider {
    /// The type of an event, such as `push`.
    pub fn event(&self, message: &Message<'_>) -> Option<String> {
        first(self.event, message)
    }

    /// What is the same each time that an event is delivered.
    pub fn id(&self, message: &Message<'_>) -> Option<String> {
        first(self.id, message)
    }

    /// Whether event or id can only be told from the body.
    pub fn reads_body(&self) -> bool {
        let is_field = |source: &Source| matches!(source, Source::Field(_));
        let sources = || self.event.iter().chain(self.id);
        !sources().all(is_field)
    }
}

fn first(sources: &[Source], message: &Message<'_>) -> Option<String> {
    let mut texts = sources.iter().filter_map(|source| {
        let bytes = message.at(*source)?;
        let text = str::from_utf8(&bytes).ok()?;
        (!text.is_empty() && text.len() <= MAX_TEXT).then(|| text.to_owned())
    });
    texts.next()
}

/// A mark: its row, its name, and how the value begins.
type Place = (usize, &'static str, &'static str);

/// Marks by the length of their names.
static MARKS: LazyLock<Vec<Vec<Place>>> = LazyLock::new(|| {
    let mut marks = vec![Vec::new(); MAX_NAME];
    for (row, provider) in PROVIDERS.iter().enumerate() {
        for mark in provider.marks {
            let (name, start) = match mark {
                Mark::Field(name) => (*name, ""),
                Mark::Value(name, start) => (*name, *start),
            };
            marks[name.len()].push((row, name, start));
        }
    }
    marks
});

/// The longest event or id that is kept, in bytes.
const MAX_TEXT: usize = 200;
