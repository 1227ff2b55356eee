use adit_shared::wire::fields::Fields;
use http_body_util::{BodyExt as _, Full};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::config;

/// An upload of a megabyte to an origin that answers at once and reads none of it.
fn request(length: usize) -> Box<Request> {
    Box::new(Request {
        tunnel: 0,
        method: Method::POST,
        https: false,
        authority: HeaderValue::from_static("app.example"),
        target: "/".parse().unwrap(),
        protocol: None,
        arrival: None,
        fields: Fields::from_pairs([("content-length", length.to_string())]).unwrap(),
        end: false,
    })
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_answered_and_stopped_reading_is_given_up() {
    let server = config::Origin::Unix {
        path: "/nowhere".into(),
    };
    let (dialer, kept, tasks) = (
        Dialer::new(&server).unwrap(),
        Tasks::default(),
        Tasks::default(),
    );
    let pool = Pool::new(&kept);
    let origin = Origin {
        dialer: &dialer,
        pool: &pool,
        tasks: &tasks,
    };
    let (io, mut peer) = tokio::io::duplex(1 << 10);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    peer.write_all(answer).await.unwrap();
    let body = Full::new(Bytes::from(vec![0; 1 << 20]));
    let connection = Connection::new(Box::new(io));
    let mut pending = Pending::new(connection, request(1 << 20), None, Some(body)).unwrap();
    let Next::Response(response) = pending.next(origin).await.unwrap() else {
        panic!("the response comes first");
    };
    let body = response.body.collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    assert!(!tasks.is_empty(), "the origin may still read");
    timeout(3 * PATIENCE, tasks.ended()).await.unwrap();
    kept.abort();
}
