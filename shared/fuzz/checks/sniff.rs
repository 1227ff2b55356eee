//! For whom the first request of a connection is, is the same however it is cut.

use adit_relay::edge::sniff::{Found, Search};

pub(crate) fn check(data: &[u8]) {
    let Some((&cut, head)) = data.split_first() else {
        return;
    };
    assert_eq!(
        read(head, head.len().max(1)),
        read(head, usize::from(cut % 32) + 1)
    );
}

fn read(head: &[u8], piece: usize) -> Found {
    let (mut search, mut end) = (Search::default(), 0);
    loop {
        let found = search.go_on(&head[..end]);
        if found != Found::More || end == head.len() {
            return found;
        }
        end = (end + piece).min(head.len());
    }
}
