//! Time of the codecs: heads, frames, numbers and control messages.

#![allow(missing_docs, reason = "criterion's macros make functions without")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]

use std::hint::black_box;
use std::time::Duration;

use adit_micro::{heads, streams};
use adit_shared::wire::control::{Granted, Hello, Message};
use adit_shared::wire::fields::Fields;
use adit_shared::wire::frame::Side;
use adit_shared::wire::{head, varint};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn request_heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request head");
    let large = head::Request {
        fields: many_fields(100),
        ..heads::request()
    };
    for (size, head) in [("12 fields", heads::request()), ("100 fields", large)] {
        let bytes = encoded(|to| head.encode(to));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut to = BytesMut::with_capacity(bytes.len());
        group.bench_function(format!("encode {size}"), |bencher| {
            bencher.iter(|| {
                to.clear();
                black_box(&head).encode(&mut to);
            });
        });
        group.bench_function(format!("decode {size}"), |bencher| {
            bencher.iter(|| head::Request::decode(black_box(&bytes).clone()).unwrap());
        });
    }
}

fn response_heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("response head");
    let large = head::Response {
        fields: many_fields(100),
        ..heads::response()
    };
    for (size, head) in [("6 fields", heads::response()), ("100 fields", large)] {
        let bytes = encoded(|to| head.encode(to));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut to = BytesMut::with_capacity(bytes.len());
        group.bench_function(format!("encode {size}"), |bencher| {
            bencher.iter(|| {
                to.clear();
                black_box(&head).encode(&mut to);
            });
        });
        group.bench_function(format!("decode {size}"), |bencher| {
            bencher.iter(|| head::Response::decode(black_box(&bytes).clone()).unwrap());
        });
    }
}

/// Chunks of a packet's size: frames are cut anywhere.
fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame reader");
    for (name, data, frame) in [
        ("head and 1 KiB", 1 << 10, 1 << 10),
        ("1 MiB in frames of 16 KiB", 1 << 20, 16 << 10),
        ("64 KiB in frames of 100 bytes", 64 << 10, 100),
    ] {
        let stream = streams::chunks(&streams::stream(data, frame), 1200);
        group.throughput(Throughput::Bytes(data as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| streams::read(Side::Request, black_box(&stream)));
        });
    }
}

fn numbers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("varint");
    let numbers = [7, 1024, 1 << 20, 1 << 40];
    let bytes = encoded(|to| numbers.iter().for_each(|&number| varint::put(to, number)));
    let mut to = BytesMut::with_capacity(bytes.len());
    group.bench_function("put one of each length", |bencher| {
        bencher.iter(|| {
            to.clear();
            for number in black_box(numbers) {
                varint::put(&mut to, number);
            }
        });
    });
    group.bench_function("get one of each length", |bencher| {
        bencher.iter(|| {
            let mut from: &[u8] = black_box(&bytes);
            (0..numbers.len())
                .map(|_| varint::get(&mut from).unwrap())
                .sum::<u64>()
        });
    });
}

fn control(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("control message");
    let hello = Message::Hello(Hello {
        key: [1; 32],
        signature: [2; 64],
        instance: [3; 16],
        token: "adit_0123456789abcdef0123456789abcdef".into(),
        version: "agent 0.1.0".into(),
        exchanges: 1024,
    });
    let granted = Message::Granted(Granted {
        tunnel: 0,
        urls: vec!["https://brave-otter.relay.example.com".into()],
    });
    let ping = Message::Ping { number: 1 };
    for (name, message) in [("hello", hello), ("granted", granted), ("ping", ping)] {
        let bytes = encoded(|to| message.encode(to).unwrap());
        let mut to = BytesMut::with_capacity(bytes.len());
        group.bench_function(format!("encode {name}"), |bencher| {
            bencher.iter(|| {
                to.clear();
                black_box(&message).encode(&mut to).unwrap();
            });
        });
        group.bench_function(format!("decode {name}"), |bencher| {
            bencher.iter(|| Message::decode(&mut BytesMut::from(black_box(&bytes[..]))).unwrap());
        });
    }
}

/// `count` fields of which the table knows none, 100 bytes of value each.
fn many_fields(count: usize) -> Fields {
    let pairs = (0..count).map(|nth| (format!("x-own-field-{nth}"), [b'v'; 100]));
    Fields::from_pairs(pairs).unwrap()
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut to = BytesMut::new();
    encode(&mut to);
    to.freeze()
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .without_plots()
}

criterion_group! {
    name = benches;
    config = quick();
    targets = request_heads, response_heads, frames, numbers, control
}
criterion_main!(benches);
