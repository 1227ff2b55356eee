//! Heads and frames.

use std::hint::black_box;

use adit_micro::{heads, streams};
use adit_shared::wire::frame::Side;
use adit_shared::wire::head::{Request, Response};
use bytes::BytesMut;

use crate::count::counted;

/// How often the work of each case is done.
pub(crate) const TIMES: u64 = 100;

pub(crate) fn request_encode() {
    let head = heads::request();
    encode(|to| black_box(&head).encode(to));
}

pub(crate) fn request_decode() {
    let mut bytes = BytesMut::new();
    heads::request().encode(&mut bytes);
    let bytes = bytes.freeze();
    repeat(|| {
        black_box(Request::decode(black_box(&bytes).clone()).unwrap());
    });
}

pub(crate) fn response_encode() {
    let head = heads::response();
    encode(|to| black_box(&head).encode(to));
}

pub(crate) fn response_decode() {
    let mut bytes = BytesMut::new();
    heads::response().encode(&mut bytes);
    let bytes = bytes.freeze();
    repeat(|| {
        black_box(Response::decode(black_box(&bytes).clone()).unwrap());
    });
}

pub(crate) fn frames() {
    let stream = streams::chunks(&streams::stream(64 << 10, 4 << 10), 1200);
    repeat(|| {
        black_box(streams::read(Side::Request, black_box(&stream)));
    });
}

/// As the relay does it: into fresh memory.
fn encode(encode: impl Fn(&mut BytesMut)) {
    repeat(|| {
        let mut to = BytesMut::with_capacity(512);
        encode(&mut to);
        black_box(to);
    });
}

/// Once before it counts: what is made on first use is made then.
fn repeat(mut work: impl FnMut()) {
    work();
    counted(&mut || (0..TIMES).for_each(|_| work()));
}
