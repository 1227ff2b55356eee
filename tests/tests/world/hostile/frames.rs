//! Visitors that speak HTTP/2 only to keep the relay busy.

use adit_tests::{World, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::addresses::limited;
use super::assert_well;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET http://good.localhost/`, in HPACK's static table and plain text (RFC 7541).
fn get(stream: u32, flags: u8) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 14];
    block.extend(b"good.localhost");
    frame(1, flags, stream, &block)
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Sends the preface, and then `flood` again and again with the next stream's number, up to `most` times.
/// Says how often the relay took it.
async fn flood(world: &World, most: u32, flood: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut visitor = world.dial().await;
    let preface = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(4, 0, 0, &[]),
    ];
    visitor.write_all(&preface.concat()).await.unwrap();
    let (mut read, mut write) = visitor.split();
    let mut taken = 0;
    let send = async {
        for number in 0..most {
            if write.write_all(&flood(2 * number + 1)).await.is_err() {
                return;
            }
            taken += 1;
            if number % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let mut seen = Vec::new();
    let (_, ended) = tokio::join!(send, soon("the end", read.read_to_end(&mut seen)));
    drop(ended);
    taken
}

#[tokio::test]
async fn floods_of_frames_end_their_connection_alone() {
    let world = World::start().await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let h2 = world.h2c().await;
    type Flood = fn(u32) -> Vec<u8>;
    let floods: [(&str, Flood); 6] = [
        ("rapid reset", |stream| {
            [
                get(stream, END_STREAM | END_HEADERS),
                frame(3, 0, stream, &[0, 0, 0, 8]),
            ]
            .concat()
        }),
        ("continuation", |stream| match stream {
            1 => get(1, 0),
            _ => frame(9, 0, 1, &[]),
        }),
        ("ping", |_| frame(6, 0, 0, &[0; 8])),
        ("settings", |_| frame(4, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        ("priority", |_| frame(2, 0, 1, &[0, 0, 0, 0, 7])),
        ("empty data", |stream| match stream {
            1 => get(1, END_HEADERS),
            _ => frame(0, 0, 1, &[]),
        }),
    ];
    for (what, bytes) in floods {
        let taken = flood(&world, 200_000, bytes).await;
        assert!(taken < 200_000, "{what}");
        assert_well(&world).await;
        let (answer, _) = h2.get("http://good.localhost/").await.unwrap();
        assert_eq!(answer.status, 200, "after {what}");
    }
    assert!(limited(&world, "frames").await >= 3);
}

#[tokio::test]
async fn streams_above_the_limit_are_refused_and_the_others_go_on() {
    let world = World::with(|config| config.limits.streams_per_connection = 2).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let mut visitor = world.dial().await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    // Three that wait for their bodies.
    for stream in [1, 3, 5] {
        bytes.extend(get(stream, END_HEADERS));
    }
    visitor.write_all(&bytes).await.unwrap();
    let mut seen = Vec::new();
    let refused = frame(3, 0, 5, &[0, 0, 0, 7]);
    soon("the third is refused", async {
        while !seen.windows(refused.len()).any(|window| window == refused) {
            assert!(visitor.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
        }
    })
    .await;
    visitor
        .write_all(&frame(0, END_STREAM, 1, b"x"))
        .await
        .unwrap();
    soon("an answer", async {
        // HEADERS of the first stream.
        while !seen.windows(6).any(|window| window == [1, 4, 0, 0, 0, 1]) {
            assert!(visitor.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
        }
    })
    .await;
}
