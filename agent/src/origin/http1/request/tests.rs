use adit_shared::wire::fields::Fields;
use http::Method;

use super::*;

fn request(end: bool, fields: &[(&'static str, &str)]) -> head::Request {
    head::Request {
        tunnel: 0,
        method: Method::POST,
        https: false,
        authority: HeaderValue::from_static("app.example:8080"),
        target: "/a/../b?c=%20".parse().unwrap(),
        protocol: None,
        arrival: None,
        fields: Fields::from_pairs(fields.iter().copied()).unwrap(),
        end,
    }
}

fn written(end: bool, fields: &[(&'static str, &str)]) -> Result<String, &'static str> {
    let mut bytes = BytesMut::new();
    put_request(&request(end, fields), None, &mut bytes)?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn a_request_says_its_target_and_fields_as_they_came() {
    assert_eq!(
        written(
            false,
            &[("x-one", "1"), ("content-length", "5"), ("x-two", "a, b")]
        )
        .unwrap(),
        "POST /a/../b?c=%20 HTTP/1.1\r\nhost: app.example:8080\r\nx-one: 1\r\ncontent-length: 5\r\nx-two: a, b\r\n\r\n"
    );
    let chunked = written(false, &[]).unwrap();
    assert!(
        chunked.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n"),
        "{chunked}"
    );
    assert!(!written(true, &[]).unwrap().contains("transfer-encoding"));
}

#[test]
fn a_request_frames_its_body_in_one_way() {
    // What would frame it in a second way, or send it elsewhere, is left out.
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "gzip"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("host", "elsewhere"),
    ] {
        let text = written(true, &[(name, value)]).unwrap();
        assert_eq!(
            text.matches(name).count(),
            usize::from(name == "host"),
            "{text}"
        );
        assert!(!text.contains("elsewhere"), "{text}");
    }
    for (end, lengths) in [
        (true, &["5"][..]),
        (false, &["5", "6"]),
        (false, &["+5"]),
        (false, &["-5"]),
        (false, &[""]),
        (false, &["5, 6"]),
        (false, &["99999999999999999999"]),
    ] {
        let fields: Vec<_> = lengths
            .iter()
            .map(|length| ("content-length", *length))
            .collect();
        assert!(written(end, &fields).is_err(), "{lengths:?}");
    }
}
