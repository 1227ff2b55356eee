//! Heads that the benches encode, decode and send.

use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use http::header::HeaderValue;
use http::{Method, StatusCode};

/// A webhook as a relay passes it on: twelve fields, and a body to follow.
pub fn request() -> head::Request {
    head::Request {
        tunnel: 0,
        method: Method::POST,
        https: true,
        authority: HeaderValue::from_static("brave-otter.relay.example.com"),
        target: "/webhooks/orders?source=shop&attempt=1".parse().unwrap(),
        protocol: None,
        arrival: None,
        fields: fields(&[
            ("user-agent", "Hookshot/044aadd"),
            ("content-length", "1024"),
            ("accept", "*/*"),
            ("content-type", "application/json"),
            ("x-hook-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-hook-event", "order.created"),
            (
                "x-hook-signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            ("x-forwarded-for", "192.0.2.60"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "brave-otter.relay.example.com"),
            (
                "forwarded",
                "for=192.0.2.60;proto=https;host=brave-otter.relay.example.com",
            ),
            ("x-request-id", "01J9ZD3V8T6XW2Q4R5S7Y8Z9AB"),
        ]),
        end: false,
    }
}

/// What a small web server answers.
pub fn response() -> head::Response {
    head::Response {
        status: StatusCode::OK,
        fields: fields(&[
            ("server", "nginx"),
            ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("content-type", "application/json"),
            ("content-length", "1024"),
            ("cache-control", "no-cache"),
            ("etag", "\"33a64df551425fcc55e4d42a148795d9\""),
        ]),
        end: false,
    }
}

fn fields(list: &[(&str, &str)]) -> Fields {
    Fields::from_pairs(list.iter().copied()).unwrap()
}
