//! An origin that keeps what reaches it, and reads it as strictly as RFC 9112 can be read: whatever is odd is
//! kept as odd, and never answered.

use std::sync::{Arc, Mutex};

use adit_tests::origin::Origin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An origin that remembers.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The server.
    pub(crate) origin: Origin,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// What was heard on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// A request, whole.
    Whole(Request),
    /// The beginning of one. The connection has ended, or waits for the rest.
    Torn(String),
    /// What is no request as it should be, and why.
    Odd(&'static str, String),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// Head and trailers, as text.
    pub(crate) around: String,
}

impl Request {
    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(own, _)| own == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

impl Recorder {
    /// One that answers each whole request with an empty 200.
    pub(crate) async fn start() -> Self {
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let keep = heard.clone();
        let origin = Origin::scripted(move |stream| listen(stream, keep.clone())).await;
        Self { origin, heard }
    }

    /// What was heard since the last time.
    pub(crate) fn take(&self) -> Vec<Heard> {
        let mut heard = self.heard.lock().unwrap();
        let torn_goes = |one: &Heard| !matches!(one, Heard::Torn(text) if text.is_empty());
        std::mem::take(&mut *heard)
            .into_iter()
            .filter(torn_goes)
            .collect()
    }
}

async fn listen(mut stream: TcpStream, heard: Arc<Mutex<Vec<Heard>>>) {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match request(&bytes) {
            Ok(Some((request, len))) => {
                bytes.drain(..len);
                heard.lock().unwrap().push(Heard::Whole(request));
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
                continue;
            }
            Ok(None) => {}
            Err(why) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return heard.lock().unwrap().push(Heard::Odd(why, text));
            }
        }
        match stream.read(&mut piece).await {
            Ok(len @ 1..) => bytes.extend_from_slice(&piece[..len]),
            Ok(_) | Err(_) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return heard.lock().unwrap().push(Heard::Torn(text));
            }
        }
    }
}

/// Takes the first line that ends with CRLF and has no other CR, LF, NUL or control.
fn line<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a str>, &'static str> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let (line, rest) = bytes.split_at(end + 1);
    let line = line.strip_suffix(b"\r\n").ok_or("a bare line feed")?;
    if line.iter().any(|byte| byte.is_ascii_control()) {
        return Err("a control character");
    }
    *bytes = rest;
    str::from_utf8(line).map(Some).map_err(|_| "no text")
}

type Fields = Vec<(String, String)>;

/// Takes fields up to and with the empty line.
fn fields(bytes: &mut &[u8]) -> Result<Option<Fields>, &'static str> {
    let mut fields = Vec::new();
    loop {
        let Some(line) = line(bytes)? else {
            return Ok(None);
        };
        if line.is_empty() {
            return Ok(Some(fields));
        }
        let (name, value) = line.split_once(": ").ok_or("a field without a colon")?;
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("a name that is none");
        }
        if value.trim() != value {
            return Err("white space around a value");
        }
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

/// The request at the start of `bytes`, and its length; nothing when more is needed.
fn request(bytes: &[u8]) -> Result<Option<(Request, usize)>, &'static str> {
    let mut rest = bytes;
    let Some(first) = line(&mut rest)? else {
        return Ok(None);
    };
    let words: Vec<_> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return Err("a first line that is none");
    };
    let Some(fields) = fields(&mut rest)? else {
        return Ok(None);
    };
    let mut around = String::from_utf8_lossy(&bytes[..bytes.len() - rest.len()]).into_owned();
    let all = |name: &str| {
        let of = fields.iter().filter(|(own, _)| own == name);
        of.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    if all("host").len() != 1 {
        return Err("not one host");
    }
    let body = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => Some(Vec::new()),
        ([length], []) => {
            if !length.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("a length that is none");
            }
            let length = length.parse().map_err(|_| "a length that is none")?;
            let body = rest.split_at_checked(length);
            if let Some((_, behind)) = body {
                rest = behind;
            }
            body.map(|(body, _)| body.to_vec())
        }
        ([], ["chunked"]) => chunks(&mut rest, &mut around)?,
        _ => return Err("several lengths or codings"),
    };
    let Some(body) = body else {
        return Ok(None);
    };
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        fields,
        body: String::from_utf8_lossy(&body).into_owned(),
        around,
    };
    Ok(Some((request, bytes.len() - rest.len())))
}

fn chunks(rest: &mut &[u8], around: &mut String) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Some(size) = line(rest)? else {
            return Ok(None);
        };
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("a size that is none");
        }
        let size = usize::from_str_radix(size, 16).map_err(|_| "a size that is none")?;
        if size == 0 {
            let before = rest.len();
            let (start, whole) = (*rest, fields(rest)?);
            let trailers = &start[..before - rest.len()];
            around.push_str(&String::from_utf8_lossy(trailers));
            return Ok(whole.map(|_| body));
        }
        let Some((data, behind)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        match behind {
            [b'\r', b'\n', behind @ ..] => *rest = behind,
            [] | [b'\r'] => return Ok(None),
            _ => return Err("a chunk that is longer than its size"),
        }
    }
}
