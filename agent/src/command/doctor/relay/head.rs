//! The head of an HTTP response, from whoever answers where the relay should.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What is looked at of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Where it sends to, if it does.
    pub location: Option<String>,
    /// What the time is there, if it says so.
    pub date: Option<SystemTime>,
}

/// Asks for the head of the first page; none when what comes back is not HTTP. Safe to drop.
pub(super) async fn head(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
) -> Option<Head> {
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: adit-doctor\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = vec![0; MAX_HEAD];
    let mut len = 0;
    loop {
        match stream.read(&mut bytes[len..]).await.ok()? {
            0 => return None,
            more => len += more,
        }
        if let Some(head) = parse(&bytes[..len]).ok()? {
            return Some(head);
        }
    }
}

/// The head that `bytes` begin with; nothing until it is whole.
///
/// # Errors
///
/// When it is not HTTP.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    if response.parse(bytes)?.is_partial() {
        return Ok(None);
    }
    let field = |name: &str| {
        let mut fields = response.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(field.value).ok()
    };
    Ok(Some(Head {
        status: response.code.ok_or(httparse::Error::Status)?,
        location: field("location").map(str::to_owned),
        date: field("date").and_then(date),
    }))
}

/// A date as all servers write it today (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<SystemTime> {
    let time = DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok().map(SystemTime::from)
}

/// Bytes of a response head.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 100;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_date_is_read() {
        let expected = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(expected));
        assert_eq!(date("yesterday"), None);
    }
}
