//! Visitors that would like one request to become two.

use adit_tests::{World, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{assert_well, recorded};

#[tokio::test]
async fn one_request_never_becomes_two_at_the_origin() {
    let (world, _agents, _origin, heard) = recorded().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    let len = smuggled.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    // Each is one request at most, whose text in its body or head would be another to a careless
    // reader.
    let mut cases = vec![
        format!(
            "Content-Length: {}\r\n{chunked}\r\n0\r\n\r\n{smuggled}",
            len + 5
        ),
        format!(
            "{chunked}Content-Length: {}\r\n\r\n0\r\n\r\n{smuggled}",
            len + 5
        ),
        format!("Content-Length: 0\r\nContent-Length: {len}\r\n\r\n{smuggled}"),
        format!("Content-Length: {len}\r\nContent-Length: 0\r\n\r\n{smuggled}"),
        format!("Content-Length: 0, {len}\r\n\r\n{smuggled}"),
        format!("Content-Length: +0\r\n\r\n{smuggled}"),
        format!("Content-Length: -1\r\n\r\n{smuggled}"),
        format!("Content-Length: 0x0\r\n\r\n{smuggled}"),
        format!("Content-Length: \r\n\r\n{smuggled}"),
        format!("Content-Length : 0\r\n\r\n{smuggled}"),
        format!("Content-Length: 18446744073709551616\r\n\r\n{smuggled}"),
        format!("X: y\r\n Content-Length: {len}\r\n\r\n{smuggled}"),
        format!("X: y\rContent-Length: {len}\r\n\r\n{smuggled}"),
        format!("Content\0-Length: 0\r\n\r\n{smuggled}"),
    ];
    for coding in [
        "identity",
        "chunked, identity",
        "xchunked",
        "chunked-x",
        "gzip",
        "\"chunked\"",
        "",
        "\u{b}chunked\u{b}",
        "chunked;x",
        "chunke\u{1}d",
    ] {
        cases.push(format!(
            "Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
        cases.push(format!(
            "Content-Length: 0\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
    }
    for field in [
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer\0-Encoding: chunked",
    ] {
        cases.push(format!("{field}\r\nContent-Length: 0\r\n\r\n{smuggled}"));
    }
    for chunk in [
        "x\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc",
        "3 3\r\nabc\r\n",
        "3\rabc\r\n",
        "10000000000000000\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n",
        "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        "3;a=\0\r\nabc\r\n",
        " \r\n",
        "\r\n",
        ";a=b\r\n",
    ] {
        cases.push(format!("{chunked}\r\n{chunk}{smuggled}"));
    }
    for case in &cases {
        let request = format!("POST /outer HTTP/1.1\r\nHost: shop.localhost\r\n{case}");
        let seen = world.raw(request.as_bytes()).await;
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.matches("HTTP/1.1 ").count() <= 1, "{case:?}: {seen}");
        // Whatever is under way towards the origin has come when the next request has.
        assert_eq!(world.get("shop", "/next").await.status, 200);
        let mut heard = heard.lock().await;
        let heads: Vec<_> = heard
            .lines()
            .filter(|line| line.ends_with(" HTTP/1.1"))
            .collect();
        let outer = heads
            .iter()
            .filter(|line| line.starts_with("POST /outer "))
            .count();
        assert!(
            outer <= 1 && heads.last() == Some(&"GET /next HTTP/1.1"),
            "{case:?}: {heads:?}"
        );
        assert!(!heard.contains("/smuggled"), "{case:?}: {heard}");
        heard.clear();
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn fields_of_http2_cannot_become_a_request() {
    let (world, _agents, _origin, heard) = recorded().await;
    let seen = h2_request(&world, "x", "y").await;
    assert_eq!(
        seen.first(),
        Some(&OK_INDEXED),
        "what is written by hand works"
    );
    heard.lock().await.clear();
    let smuggled = "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.localhost\r\n\r\n";
    for (name, value) in [
        (":path", &*format!("/ HTTP/1.1\r\n{smuggled}")),
        (":path", "smuggled"),
        (":path", "/ smuggled"),
        (":method", "GET /smuggled HTTP/1.1\r\nx:"),
        (":authority", "shop.localhost/smuggled"),
        (":authority", "smuggled@shop.localhost"),
        (":authority", "shop.localhost\r\nx: smuggled"),
        ("x", &*format!("smuggled{smuggled}")),
        ("x", "smuggled\ny"),
        ("x", "smuggled\0"),
        ("x: smuggled\r\ny", "z"),
        ("X-Smuggled", "smuggled"),
        ("host", "smuggled.localhost"),
        ("transfer-encoding", "smuggled, chunked"),
        ("connection", "smuggled"),
        (":smuggled", "smuggled"),
        ("content-length", "1 smuggled"),
    ] {
        let seen = h2_request(&world, name, value).await;
        assert_ne!(seen.first(), Some(&OK_INDEXED), "{name}: {value:?}");
        assert_eq!(world.get("shop", "/next").await.status, 200);
        let mut heard = heard.lock().await;
        assert!(
            heard.starts_with("GET /next "),
            "{name}: {value:?}: {heard}"
        );
        heard.clear();
    }
    assert_well(&world).await;
}

/// `:status: 200` in the static table of RFC 7541.
const OK_INDEXED: u8 = 0x88;

/// Asks for `/` over HTTP/2 with one field as given, encoded by hand because no library would.
/// The encoded head of the response; empty when there is none.
async fn h2_request(world: &World, name: &str, value: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let mut put = |name: &str, value: &str| {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    };
    let usual = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "shop.localhost"),
    ];
    for (pseudo, text) in usual {
        put(pseudo, if pseudo == name { value } else { text });
    }
    if usual.iter().all(|(pseudo, _)| *pseudo != name) {
        put(name, value);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend_from_slice(b"\x01\x05\0\0\0\x01");
    bytes.extend_from_slice(&block);
    let mut stream = world.dial().await;
    stream.write_all(&bytes).await.unwrap();
    let first = async {
        let mut header = [0; 9];
        while stream.read_exact(&mut header).await.is_ok() {
            let len = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; len as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match header[3] {
                1 => return payload,
                // RST_STREAM and GOAWAY.
                3 | 7 => break,
                _ => {}
            }
        }
        Vec::new()
    };
    soon("a frame", first).await
}
