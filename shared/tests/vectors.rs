//! `docs/vectors.json` pins the bytes of `adit/1`: each vector is decoded and encoded again, and a
//! change of any byte fails here. The tables of `docs/protocol.md` are held against the code, too.
//!
//! A vector is never edited to make a test pass: what is released is what peers speak.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::LazyLock;
use std::time::Duration;

use adit_shared::identity::{self, Fingerprint, Identity};
use adit_shared::wire::arrival::{Arrival, Version};
use adit_shared::wire::carrier;
use adit_shared::wire::code::{Close, Reset};
use adit_shared::wire::control::{
    self, Claim, EXPORTER_LABEL, Granted, Hello, Message, Refusal, Refused, Welcome,
};
use adit_shared::wire::datagram::Datagram;
use adit_shared::wire::fields::{self, Fields, HeadTooLarge};
use adit_shared::wire::frame::{self, FrameError, Part, Reader, Side};
use adit_shared::wire::head::{Request, Response};
use adit_shared::wire::inbox::{Causes, Inbox, InboxState};
use adit_shared::wire::mirror::Mirror;
use adit_shared::wire::table::{self, Entry};
use adit_shared::wire::varint::{self, Malformed};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::HeaderValue;
use http::{Method, StatusCode};
use serde_json::Value;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors.json");
const PROTOCOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");

static FILE: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(VECTORS).unwrap();
    serde_json::from_str(&text).unwrap()
});

#[test]
fn varints() {
    for vector in vectors("varints") {
        let number = number(&vector.json["value"]);
        let mut bytes = &vector.bytes[..];
        assert_eq!(varint::get(&mut bytes), Ok(number), "{vector}");
        assert!(bytes.is_empty(), "{vector}");
        let mut written = BytesMut::new();
        varint::put(&mut written, number);
        vector.check_written(&written);
        if vector.canonical {
            assert_eq!(varint::len(number), vector.bytes.len(), "{vector}");
        }
        vector.check_prefixes(|mut bytes| varint::get(&mut bytes).map(drop));
    }
}

#[test]
fn the_static_table() {
    let rows = FILE["table"].as_array().unwrap();
    for row in rows {
        let code = number(&row["code"]);
        let found = match table::entry(code) {
            Some(Entry::Name(name)) => (name, None),
            Some(Entry::Field(name, value)) => (name, Some(value)),
            None => panic!("code {code} stands for nothing"),
        };
        assert_eq!(found, (text(&row["name"]), row["value"].as_str()), "{code}");
    }
    let next = rows.len() as u64 + 1;
    assert!(table::entry(next).is_none(), "{next} is not in the file");
}

#[test]
fn the_proof_of_a_hello() {
    let json = &FILE["identity"];
    let bytes = |key: &str| unhex(text(&json[key]));
    let array = |key: &str| -> [u8; 32] { bytes(key).try_into().unwrap() };
    assert_eq!(text(&json["label"]).as_bytes(), EXPORTER_LABEL);
    let (key, exporter) = (array("public_key"), array("exporter"));
    let signature: [u8; 64] = bytes("signature").try_into().unwrap();
    assert!(identity::verify(&key, &exporter, &signature));
    assert_eq!(*Fingerprint::of(&key).as_bytes(), array("fingerprint"));

    // RFC 8410 section 7: the key file of an agent.
    let prefix = unhex("302e020100300506032b657004220420");
    let directory = std::env::temp_dir().join(format!("adit-vectors-{}", std::process::id()));
    let path = directory.join("identity.key");
    identity::create_private(&path, &[prefix, bytes("private_key")].concat()).unwrap();
    let identity = Identity::load_or_create(&path).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    assert_eq!(identity.public_key(), key);
    assert_eq!(identity.sign(&exporter), signature);
}

#[test]
fn control_messages() {
    for vector in vectors("control") {
        let messages: Vec<Message> = list(&vector.json["messages"]).map(message).collect();
        let mut bytes = BytesMut::from(&vector.bytes[..]);
        for message in &messages {
            assert_eq!(
                Message::decode(&mut bytes).as_ref(),
                Ok(message),
                "{vector}"
            );
        }
        assert!(bytes.is_empty(), "{vector}");
        let mut written = BytesMut::new();
        for message in &messages {
            message.encode(&mut written).unwrap();
        }
        vector.check_written(&written);
        if messages.len() == 1 {
            vector.check_prefixes(|bytes| Message::decode(&mut BytesMut::from(bytes)).map(drop));
        }
    }
}

#[test]
fn datagrams() {
    for vector in vectors("datagrams") {
        let read = Datagram::decode(&vector.bytes);
        let (kind, json) = only(&vector.json["datagram"]);
        let expected = match kind {
            "knock" => Datagram::Knock {
                number: number(&json["number"]),
            },
            "answer" => Datagram::Answer {
                number: number(&json["number"]),
            },
            "unknown" => {
                assert_eq!(read, Ok(None), "{vector}");
                continue;
            }
            other => panic!("no datagram is called {other}"),
        };
        assert_eq!(read, Ok(Some(expected)), "{vector}");
        vector.check_written(&expected.encode());
        vector.check_prefixes(|bytes| Datagram::decode(bytes).map(drop));
    }
}

#[test]
fn carriers() {
    for vector in vectors("carriers") {
        let mut rest = &vector.bytes[..];
        if vector.json.get("error").is_some() {
            assert!(carrier::first(rest).is_err(), "{vector}");
            continue;
        }
        let mut written = Vec::new();
        for datagram in list(&vector.json["datagrams"]) {
            let datagram = unhex(text(datagram));
            for end in 0..carrier::HEADER + datagram.len() {
                assert_eq!(carrier::first(&rest[..end]), Ok(None), "{vector}");
            }
            assert_eq!(carrier::first(rest), Ok(Some(&datagram[..])), "{vector}");
            assert!(carrier::put(&mut written, &datagram), "{vector}");
            rest = &rest[carrier::HEADER + datagram.len()..];
        }
        assert!(rest.is_empty(), "{vector}");
        vector.check_written(&written);
    }
}

#[test]
fn request_heads() {
    for vector in vectors("request_heads") {
        let head = request(&vector.json["head"]);
        let read = Request::decode(Bytes::copy_from_slice(&vector.bytes));
        assert_eq!(read.as_ref(), Ok(&head), "{vector}");
        let mut written = BytesMut::new();
        head.encode(&mut written);
        vector.check_written(&written);
        vector.check_prefixes(|bytes| Request::decode(Bytes::copy_from_slice(bytes)).map(drop));
    }
}

#[test]
fn response_heads() {
    for vector in vectors("response_heads") {
        let head = response(&vector.json["head"]);
        let read = Response::decode(Bytes::copy_from_slice(&vector.bytes));
        assert_eq!(read.as_ref(), Ok(&head), "{vector}");
        let mut written = BytesMut::new();
        head.encode(&mut written);
        vector.check_written(&written);
        vector.check_prefixes(|bytes| Response::decode(Bytes::copy_from_slice(bytes)).map(drop));
    }
}

#[test]
fn trailers() {
    for vector in vectors("fields") {
        let fields = fields(&vector.json["fields"]);
        let read = Fields::decode(Bytes::copy_from_slice(&vector.bytes));
        assert_eq!(read.as_ref(), Ok(&fields), "{vector}");
        let mut written = BytesMut::new();
        fields.encode(&mut written);
        vector.check_written(&written);
        vector.check_prefixes(|bytes| Fields::decode(Bytes::copy_from_slice(bytes)).map(drop));
    }
}

#[test]
fn exchange_streams() {
    for vector in vectors("streams") {
        let side = side(text(&vector.json["side"]));
        let parts = || list(&vector.json["parts"]).map(part);
        let mut expected = Vec::new();
        parts().for_each(|part| push(&mut expected, part));
        let rest = vector.json["rest"].as_str().map(unhex);
        for piece in [vector.bytes.len(), 1, 3] {
            let (read, end) = read(side, &vector.bytes, piece);
            assert_eq!(read, expected, "{vector}, {piece} bytes at a time");
            match (&rest, end) {
                (None, End::Whole) => {}
                (Some(rest), End::Raw(raw)) => assert_eq!(*rest, raw, "{vector}"),
                (_, end) => panic!("{vector}: {end:?}"),
            }
        }
        let mut written = BytesMut::new();
        for part in parts() {
            write(&mut written, part);
        }
        written.put_slice(&rest.clone().unwrap_or_default());
        vector.check_written(&written);
        let framed = vector.bytes.len() - rest.map_or(0, |rest| rest.len());
        for end in 0..framed {
            let (_, end) = read(side, &vector.bytes[..end], end.max(1));
            assert_eq!(end, End::Failed(FrameError::Truncated), "{vector}");
        }
    }
}

#[test]
fn what_a_decoder_must_refuse() {
    for vector in vectors("invalid") {
        let kind = refusal(text(&vector.json["what"]), &vector.bytes);
        assert_eq!(kind, text(&vector.json["error"]), "{vector}");
    }
}

#[test]
fn limits_are_where_they_are_said_to_be() {
    let limit = |key: &str| number(&FILE["limits"][key]) as usize;
    assert_eq!(control::MAX_MESSAGE, limit("message"));
    assert_eq!(control::MAX_TEXT, limit("text"));
    assert_eq!(fields::MAX_HEAD, limit("head"));
    assert_eq!(fields::MAX_FIELDS, limit("fields"));
    assert_eq!(fields::MAX_NAME, limit("name"));

    let claim = |len| {
        let text = String::new();
        let (label, name, host) = ("x".repeat(len), text.clone(), text);
        let mut bytes = BytesMut::new();
        let claim = Message::Claim(Claim {
            tunnel: 0,
            label,
            name,
            host,
        });
        claim
            .encode(&mut bytes)
            .map(|()| Message::decode(&mut bytes) == Ok(claim))
    };
    assert_eq!(claim(limit("text")), Ok(true));
    assert!(claim(limit("text") + 1).is_err());

    let trailers = |count, name: usize, value| {
        let pair = (vec![b'x'; name], vec![b'x'; value]);
        let fields = Fields::from_pairs(vec![pair; count]).map_err(|_| HeadTooLarge)?;
        let mut bytes = BytesMut::new();
        let written = frame::put_trailers(&mut bytes, &fields);
        written.map(|()| Fields::decode(bytes.freeze().slice(5..)) == Ok(fields))
    };
    assert_eq!(trailers(limit("fields"), 1, 0), Ok(true));
    assert!(trailers(limit("fields") + 1, 1, 0).is_err());
    assert_eq!(trailers(1, limit("name"), 0), Ok(true));
    assert!(trailers(1, limit("name") + 1, 0).is_err());
    // Count, code of a literal, name and its length, length of the value.
    let overhead = 1 + 1 + 2 + 4;
    assert_eq!(trailers(1, 1, limit("head") - overhead), Ok(true));
    assert!(trailers(1, 1, limit("head") - overhead + 1).is_err());
}

#[test]
fn the_tables_of_the_text_are_those_of_the_code() {
    let text = std::fs::read_to_string(PROTOCOL).unwrap();
    let codes = |heading: &str| -> Vec<(u64, String)> {
        rows(&text, heading)
            .into_iter()
            .map(|row| {
                let number = u64::from_str_radix(row[0].strip_prefix("0x").unwrap(), 16);
                (number.unwrap(), row[1].clone())
            })
            .collect()
    };
    let resets = Reset::ALL
        .iter()
        .map(|code| (code.number().into(), code.to_string()));
    assert_eq!(codes("Reset codes"), resets.collect::<Vec<_>>());
    let closes = Close::ALL
        .iter()
        .map(|code| (code.number().into(), code.to_string()));
    assert_eq!(codes("Close codes"), closes.collect::<Vec<_>>());

    let mut fields = rows(&text, "Names");
    fields.extend(rows(&text, "Whole fields"));
    let in_code: Vec<_> = (1..)
        .map_while(table::entry)
        .zip(1..)
        .map(|(entry, code)| match entry {
            Entry::Name(name) => vec![code.to_string(), name.to_owned()],
            Entry::Field(name, value) => {
                vec![code.to_string(), name.to_owned(), value.to_owned()]
            }
        })
        .collect();
    assert_eq!(fields, in_code);
}

/// One entry of the file.
struct Vector {
    section: &'static str,
    json: &'static Value,
    bytes: Vec<u8>,
    /// Whether these bytes are what an encoder writes.
    canonical: bool,
}

impl Vector {
    fn check_written(&self, written: &[u8]) {
        let same = written == self.bytes;
        assert_eq!(same, self.canonical, "{self}: written as {}", hex(written));
    }

    fn check_prefixes(&self, decode: impl Fn(&[u8]) -> Result<(), Malformed>) {
        for end in 0..self.bytes.len() {
            let read = decode(&self.bytes[..end]);
            assert_eq!(read, Err(Malformed::Incomplete), "{self}: {end} bytes");
        }
    }
}

impl std::fmt::Display for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.section, text(&self.json["name"]))
    }
}

fn vectors(section: &'static str) -> Vec<Vector> {
    let vectors: Vec<_> = list(&FILE[section])
        .map(|json| Vector {
            section,
            json,
            bytes: unhex(text(&json["hex"])),
            canonical: json.get("canonical").is_none_or(|it| it.as_bool().unwrap()),
        })
        .collect();
    assert!(!vectors.is_empty(), "{section} has no vectors");
    vectors
}

/// How the reading of a stream ended.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    Raw(Vec<u8>),
    Failed(FrameError),
}

/// Reads a stream in pieces.
fn read(side: Side, bytes: &[u8], piece: usize) -> (Vec<Part>, End) {
    let mut reader = Reader::new(side);
    let mut parts = Vec::new();
    let mut taken = 0;
    for chunk in bytes.chunks(piece) {
        reader.push(Bytes::copy_from_slice(chunk));
        taken += chunk.len();
        loop {
            match reader.next_part() {
                Ok(None) => break,
                Ok(Some(part)) => {
                    let raw = matches!(&part, Part::Response(head) if head.status == 101);
                    push(&mut parts, part);
                    if raw {
                        let rest = [&reader.into_rest()[..], &bytes[taken..]].concat();
                        return (parts, End::Raw(rest));
                    }
                }
                Err(error) => return (parts, End::Failed(error)),
            }
        }
    }
    let end = if reader.is_done() {
        End::Whole
    } else {
        End::Failed(FrameError::Truncated)
    };
    (parts, end)
}

/// Adds a part; data joins the data before it, however both came.
fn push(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Data(before)), Part::Data(data)) => {
            *before = [&before[..], &data[..]].concat().into();
        }
        (_, part) => parts.push(part),
    }
}

fn write(to: &mut BytesMut, part: Part) {
    match part {
        Part::Request(head) => frame::put_request(to, &head).unwrap(),
        Part::Interim(head) | Part::Response(head) => frame::put_response(to, &head).unwrap(),
        Part::Data(data) => {
            frame::put_data_header(to, data.len());
            to.put_slice(&data);
        }
        Part::Trailers(fields) => frame::put_trailers(to, &fields).unwrap(),
        Part::End => frame::put_end(to),
    }
}

/// The kind of error that a decoder gives for `bytes`.
fn refusal(what: &str, bytes: &[u8]) -> &'static str {
    let malformed = |read: Result<(), Malformed>| match read {
        Ok(()) => "none",
        Err(Malformed::Incomplete) => "incomplete",
        Err(Malformed::Invalid(_)) => "invalid",
    };
    let shared = Bytes::copy_from_slice(bytes);
    match what {
        "varint" => malformed(varint::get(&mut &bytes[..]).map(drop)),
        "control" => malformed(Message::decode(&mut BytesMut::from(bytes)).map(drop)),
        "datagram" => malformed(Datagram::decode(bytes).map(drop)),
        "request head" => malformed(Request::decode(shared).map(drop)),
        "response head" => malformed(Response::decode(shared).map(drop)),
        "fields" => malformed(Fields::decode(shared).map(drop)),
        stream => {
            let side = side(stream.strip_suffix(" stream").unwrap());
            let kinds = [1, 3, bytes.len().max(1)].map(|piece| match read(side, bytes, piece).1 {
                End::Failed(FrameError::Head(_)) => "invalid",
                End::Failed(FrameError::HeadTooLarge(_)) => "too-large",
                End::Failed(FrameError::Order(_)) => "order",
                End::Failed(FrameError::Truncated) => "truncated",
                End::Whole | End::Raw(_) => "none",
            });
            assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{kinds:?}");
            kinds[0]
        }
    }
}

fn message(json: &'static Value) -> Message {
    let (kind, json) = only(json);
    let own = |key: &str| text(&json[key]).to_owned();
    let tunnel = || number(&json["tunnel"]);
    match kind {
        "hello" => Message::Hello(Hello {
            key: unhex(text(&json["key"])).try_into().unwrap(),
            signature: unhex(text(&json["signature"])).try_into().unwrap(),
            instance: unhex(text(&json["instance"])).try_into().unwrap(),
            token: own("token"),
            version: own("version"),
            exchanges: number(&json["exchanges"]),
        }),
        "welcome" => Message::Welcome(Welcome {
            session: number(&json["session"]),
            version: own("version"),
        }),
        "claim" => Message::Claim(Claim {
            tunnel: tunnel(),
            label: own("label"),
            name: own("name"),
            host: own("host"),
        }),
        "granted" => Message::Granted(Granted {
            tunnel: tunnel(),
            urls: list(&json["urls"])
                .map(|url| text(url).to_owned())
                .collect(),
        }),
        "refused" => Message::Refused(Refused {
            tunnel: tunnel(),
            reason: reason(text(&json["reason"])),
            message: own("message"),
        }),
        "goodbye" => Message::Goodbye,
        "visitors" => Message::Visitors,
        "drain" => Message::Drain {
            grace_ms: number(&json["grace_ms"]),
        },
        "ping" => Message::Ping {
            number: number(&json["number"]),
        },
        "pong" => Message::Pong {
            number: number(&json["number"]),
        },
        "keep" => Message::Keep {
            session: number(&json["session"]),
        },
        "inbox" => Message::Inbox(Inbox {
            tunnel: tunnel(),
            causes: Causes(number(&json["causes"])),
            status: number(&json["status"]),
            ack_within_ms: number(&json["ack_within_ms"]),
            parallel: number(&json["parallel"]),
            patterns: list(&json["patterns"])
                .map(|pattern| text(pattern).to_owned())
                .collect(),
        }),
        "inbox_state" => Message::InboxState(InboxState {
            tunnel: tunnel(),
            open: json["open"].as_bool().unwrap(),
            waiting: number(&json["waiting"]),
            dead: number(&json["dead"]),
            message: own("message"),
        }),
        "mirror" => Message::Mirror(Mirror {
            tunnel: tunnel(),
            name: own("name"),
            host: own("host"),
            patterns: list(&json["patterns"])
                .map(|pattern| text(pattern).to_owned())
                .collect(),
        }),
        other => panic!("no message is called {other}"),
    }
}

fn reason(word: &str) -> Refusal {
    let all = [
        Refusal::Taken,
        Refusal::Reserved,
        Refusal::NotAllowed,
        Refusal::Invalid,
        Refusal::Full,
        Refusal::Other,
    ];
    all.into_iter()
        .find(|reason| reason.word() == word)
        .unwrap()
}

fn part(json: &'static Value) -> Part {
    if json == "end" {
        return Part::End;
    }
    let (kind, json) = only(json);
    match kind {
        "request" => Part::Request(Box::new(request(json))),
        "interim" => Part::Interim(Box::new(response(json))),
        "response" => Part::Response(Box::new(response(json))),
        "data" => Part::Data(octets(json).into()),
        "trailers" => Part::Trailers(fields(json)),
        other => panic!("no part is called {other}"),
    }
}

fn request(json: &Value) -> Request {
    Request {
        tunnel: number(&json["tunnel"]),
        method: Method::from_bytes(text(&json["method"]).as_bytes()).unwrap(),
        https: json["https"].as_bool().unwrap(),
        authority: HeaderValue::from_bytes(&octets(&json["authority"])).unwrap(),
        target: text(&json["target"]).parse().unwrap(),
        protocol: (!json["protocol"].is_null())
            .then(|| HeaderValue::from_bytes(&octets(&json["protocol"])).unwrap()),
        arrival: json.get("arrival").map(arrival),
        fields: fields(&json["fields"]),
        end: json["end"].as_bool().unwrap(),
    }
}

fn arrival(json: &Value) -> Arrival {
    Arrival {
        version: Version::of(text(&json["version"])).unwrap(),
        waited: Duration::from_micros(number(&json["wait"])),
    }
}

fn response(json: &Value) -> Response {
    let status = u16::try_from(number(&json["status"])).unwrap();
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        fields: fields(&json["fields"]),
        end: json["end"].as_bool().unwrap(),
    }
}

fn fields(json: &Value) -> Fields {
    let pairs = json.as_array().unwrap().iter();
    let fields = Fields::from_pairs(pairs.clone().map(|pair| (text(&pair[0]), octets(&pair[1]))));
    let fields = fields.unwrap();
    // The file has names in lower case.
    assert!(
        fields
            .iter()
            .map(|(name, _)| name)
            .eq(pairs.map(|pair| text(&pair[0]).as_bytes()))
    );
    fields
}

fn side(word: &str) -> Side {
    match word {
        "request" => Side::Request,
        "response" => Side::Response,
        other => panic!("no side is called {other}"),
    }
}

fn only(json: &'static Value) -> (&'static str, &'static Value) {
    let object = json.as_object().unwrap();
    assert_eq!(object.len(), 1, "{json}");
    object
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .next()
        .unwrap()
}

fn list(json: &'static Value) -> impl Iterator<Item = &'static Value> {
    json.as_array().unwrap().iter()
}

fn text(json: &Value) -> &str {
    json.as_str()
        .unwrap_or_else(|| panic!("{json} is not text"))
}

/// Text, or `{"hex": …}`.
fn octets(json: &Value) -> Vec<u8> {
    match json.get("hex") {
        Some(hex) => unhex(text(hex)),
        None => text(json).as_bytes().to_vec(),
    }
}

/// A number, or a string where JSON's own numbers are not exact everywhere.
fn number(json: &Value) -> u64 {
    match json.as_str() {
        Some(text) => text.parse().unwrap(),
        None => json.as_u64().unwrap(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "{text}");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rows of the first table under a heading, without its header, as plain text.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines();
    let found = lines.any(|line| {
        line.starts_with('#') && line.trim_start_matches(|c: char| !c.is_alphabetic()) == heading
    });
    assert!(found, "the text has no heading {heading}");
    let table = lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    table
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect()
        })
        .collect()
}
