//! The header of the PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt` has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use adit_shared::name;
use thiserror::Error;

/// What the bytes of a connection begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// A header that is not whole.
    More,
    /// A whole header.
    Whole {
        /// Where the connection comes from; none when the proxy speaks for itself, as to see whether
        /// the relay is well, or does not know.
        source: Option<SocketAddr>,
        /// Bytes of the header.
        length: usize,
    },
}

/// Reads a header of either version.
///
/// # Errors
///
/// [`Malformed`], as soon as the bytes cannot become one.
pub fn parse(bytes: &[u8]) -> Result<Step, Malformed> {
    if starts_alike(bytes, SIGNATURE) {
        binary(bytes)
    } else if starts_alike(bytes, WORD) {
        text(bytes)
    } else {
        Err(Malformed("it does not begin with a header"))
    }
}

/// No header, or one that breaks the rules.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// A header is no longer than this. Version 2 allows 64 KiB; what load balancers add to the addresses,
/// such as the names in a certificate, is some hundred bytes.
pub const MAX: usize = 4 << 10;

fn starts_alike(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

/// Section 2.1: one line of text.
fn text(bytes: &[u8]) -> Result<Step, Malformed> {
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if line.len() < MAX_LINE {
            Ok(Step::More)
        } else {
            Err(Malformed("the line has no end"))
        };
    };
    let line = str::from_utf8(&line[WORD.len()..end]).map_err(|_| Malformed("not text"))?;
    let source = match line.split_once(' ') {
        Some(("TCP4", addresses)) => Some(addresses_of::<Ipv4Addr>(addresses)?),
        Some(("TCP6", addresses)) => Some(addresses_of::<Ipv6Addr>(addresses)?),
        Some(("UNKNOWN", _)) => None,
        None if line == "UNKNOWN" => None,
        _ => return Err(Malformed("the protocol is unknown")),
    };
    let length = end + 2;
    Ok(Step::Whole { source, length })
}

/// Of source and destination, the source.
fn addresses_of<T: FromStr + Into<IpAddr>>(text: &str) -> Result<SocketAddr, Malformed> {
    const BAD: Malformed = Malformed("an address or port is none");
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(BAD);
    let (source, destination) = (next()?, next()?);
    let (from, to) = (next()?, next()?);
    let ip = |word: &str| word.parse::<T>().map_err(|_| BAD);
    let port = |word: &str| {
        let is_shortest = word == "0" || !word.starts_with('0');
        name::port(word).filter(|_| is_shortest).ok_or(BAD)
    };
    let (source, _, from, _) = (ip(source)?, ip(destination)?, port(from)?, port(to)?);
    match words.next() {
        None => Ok(SocketAddr::new(source.into(), from)),
        Some(_) => Err(BAD),
    }
}

/// Section 2.2: sixteen bytes, addresses, and what else the proxy wants to say.
fn binary(bytes: &[u8]) -> Result<Step, Malformed> {
    let Some((&[version, kind, high, low], rest)) = bytes
        .get(SIGNATURE.len()..)
        .and_then(|after| after.split_first_chunk())
    else {
        return Ok(Step::More);
    };
    let size = usize::from(u16::from_be_bytes([high, low]));
    let length = SIGNATURE.len() + 4 + size;
    if version >> 4 != 2 {
        return Err(Malformed("the version is not 2"));
    }
    if length > MAX {
        return Err(Malformed("the header is too long"));
    }
    let is_local = match version & 0xf {
        0 => true,
        1 => false,
        _ => return Err(Malformed("the command is unknown")),
    };
    let Some(rest) = rest.get(..size) else {
        return Ok(Step::More);
    };
    let source = if is_local {
        None
    } else {
        announced(kind, rest)?
    };
    Ok(Step::Whole { source, length })
}

/// The source of a connection of this family and transport; `rest` has the addresses and more.
fn announced(kind: u8, rest: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    const SHORT: Malformed = Malformed("the addresses are not whole");
    let (source, more) = match kind {
        0x00 => (None, &[][..]),
        0x11 => {
            let (ip, after) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
            let ([_, _, _, _, high, low, _, _], more) = after.split_first_chunk().ok_or(SHORT)?;
            let port = u16::from_be_bytes([*high, *low]);
            (Some(SocketAddr::from((*ip, port))), more)
        }
        0x21 => {
            let (ip, after) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let (_, after) = after.split_first_chunk::<16>().ok_or(SHORT)?;
            let ([high, low, _, _], more) = after.split_first_chunk().ok_or(SHORT)?;
            let port = u16::from_be_bytes([*high, *low]);
            (Some(SocketAddr::from((*ip, port))), more)
        }
        0x31 => (None, rest.get(2 * UNIX_PATH..).ok_or(SHORT)?),
        0x12 | 0x22 | 0x32 => return Err(Malformed("it speaks of datagrams")),
        _ => return Err(Malformed("the address family is unknown")),
    };
    check_extensions(more)?;
    Ok(source)
}

/// Type, length and value, until the end (section 2.2.1 and on). Nothing here needs one of them.
fn check_extensions(mut left: &[u8]) -> Result<(), Malformed> {
    while let Some((&[_, high, low], after)) = left.split_first_chunk() {
        let size = usize::from(u16::from_be_bytes([high, low]));
        left = after.get(size..).ok_or(Malformed("an extension is cut"))?;
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(Malformed("an extension is cut"))
    }
}

const WORD: &[u8] = b"PROXY ";
/// The longest line, with its end.
const MAX_LINE: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Room for the path of one Unix socket.
const UNIX_PATH: usize = 108;

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        let size = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, kind], &size, rest].concat()
    }

    fn v4(more: &[u8]) -> Vec<u8> {
        let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0, 1, 0xbb];
        v2(0x21, 0x11, &[&addresses, more].concat())
    }

    fn v6() -> Vec<u8> {
        let ip: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let rest = [&ip.octets()[..], &[0; 16], &[0, 80, 1, 0xbb]].concat();
        v2(0x21, 0x21, &rest)
    }

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        vec![
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 49152 443\r\n".to_vec(),
                Some("192.0.2.7:49152"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n".to_vec(),
                Some("[2001:db8::7]:0"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN what ever 1 2\r\n".to_vec(), None),
            (v4(b""), Some("192.0.2.7:49152")),
            (
                v4(b"\x02\x00\x05a.com\x04\x00\x00"),
                Some("192.0.2.7:49152"),
            ),
            (v6(), Some("[2001:db8::7]:80")),
            (v2(0x20, 0x00, b""), None),
            // What a proxy says of itself is skipped, whatever it is.
            (v2(0x20, 0x11, b"\xff\xff"), None),
            (v2(0x21, 0x00, b"anything"), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            (
                v2(0x21, 0x31, &[&[0; 216], &b"\x01\x00\x01x"[..]].concat()),
                None,
            ),
        ]
    }

    #[test]
    fn a_header_is_read_however_it_is_cut() {
        for (header, from) in good() {
            let source = from.map(|from| from.parse().unwrap());
            let length = header.len();
            let bytes = [&header, &b"\r\nGET / HTTP/1.1\r\n"[..]].concat();
            for end in 0..length {
                assert_eq!(parse(&bytes[..end]), Ok(Step::More), "{end} of {header:?}");
            }
            for end in length..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(Step::Whole { source, length }));
            }
        }
    }

    #[test]
    fn the_longest_line_has_room() {
        let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let line = format!("PROXY TCP6 {address} {address} 65535 65535\r\n");
        assert!(matches!(parse(line.as_bytes()), Ok(Step::Whole { .. })));
        let fill = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
        let whole = Ok(Step::Whole {
            source: None,
            length: MAX_LINE,
        });
        assert_eq!(parse(fill(MAX_LINE).as_bytes()), whole);
        assert!(parse(fill(MAX_LINE + 1).as_bytes()).is_err());
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for bad in [
            "GET / HTTP/1.1\r\n",
            "\u{16}\u{3}\u{1}",
            "PROXY\r\n",
            "PROXYTCP4",
            "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 \r\n",
            "PROXY tcp4 1.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
            "PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
            "PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY TCP4 ::1 ::1 1 1\r\n",
            "PROXY TCP6 1.1.1.1 ::1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1\n1 1\r\n",
            "PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY UNKNOWNS\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let address = [0; 12];
        for bad in [
            v2(0x11, 0x11, &address),
            v2(0x22, 0x11, &address),
            v2(0x21, 0x12, &address),
            v2(0x21, 0x10, &address),
            v2(0x21, 0x01, b""),
            v2(0x21, 0x41, &address),
            v2(0x21, 0x11, &address[1..]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x11, &[0; MAX]),
            v4(b"\x02"),
            v4(b"\x02\x00\x01"),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        // Refused before the rest of it is awaited.
        assert!(parse(&v2(0x21, 0x11, &[0; MAX])[..16]).is_err());
    }
}
