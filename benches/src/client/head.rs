//! The head of a response over HTTP/1.1, and what it says about the body behind it.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Status};

use super::chunked::Chunked;
use crate::failure::{Failure, REFUSAL, refusal};
use crate::load::tally::Tally;

/// What a response's head says about what follows it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) refusal: Option<Box<str>>,
    /// How a server proves that it understood the request for a WebSocket.
    pub(super) accept: Option<Box<[u8]>>,
    /// Whether the connection serves another request.
    pub(super) keep: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// Reads a head, and says how long it is; none while it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, Self)>, Failure> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut fields,
        );
        let Status::Complete(len) = parsed.map_err(|_| Failure::Protocol)? else {
            return Ok(None);
        };
        let mut head = Self {
            status: response.code.ok_or(Failure::Protocol)?,
            refusal: None,
            accept: None,
            keep: response.version == Some(1),
            length: None,
            chunked: false,
        };
        for field in response.headers.iter() {
            head.take(field.name, field.value)?;
        }
        Ok(Some((len, head)))
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), Failure> {
        // Names are told apart by their length first: most are none of these.
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => {
                let digits = std::str::from_utf8(value).map_err(|_| Failure::Protocol)?;
                let length = digits.parse().map_err(|_| Failure::Protocol)?;
                if self.length.is_some_and(|known| known != length) {
                    return Err(Failure::Protocol);
                }
                self.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.chunked = has_token(value, b"chunked");
                // Another coding: the body ends with the connection.
                self.keep &= self.chunked;
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                if has_token(value, b"close") {
                    self.keep = false;
                } else if has_token(value, b"keep-alive") {
                    self.keep = true;
                }
            }
            10 if name.eq_ignore_ascii_case(REFUSAL) => self.refusal = refusal(value),
            20 if name.eq_ignore_ascii_case("sec-websocket-accept") => {
                self.accept = Some(value.into());
            }
            _ => {}
        }
        Ok(())
    }

    /// What follows it.
    pub(super) fn rest(&self, is_head: bool) -> Rest {
        match (self.status, self.length) {
            _ if is_head => Rest::None,
            (204 | 304, _) => Rest::None,
            _ if self.chunked => Rest::Chunked(Chunked::default()),
            (_, Some(0)) => Rest::None,
            (_, Some(length)) => Rest::Length(length),
            (_, None) => Rest::UntilClose,
        }
    }
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(token))
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    None,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Rest {
    /// Takes what belongs to the body: how much that was, and whether it has ended.
    pub(super) fn take(&mut self, bytes: &[u8], tally: &Tally) -> Result<(usize, bool), Failure> {
        match self {
            Self::None => Ok((0, true)),
            Self::Length(left) => {
                // It is at most the length of a slice.
                let len = (*left).min(bytes.len() as u64) as usize;
                tally.received(&bytes[..len]);
                *left -= len as u64;
                Ok((len, *left == 0))
            }
            Self::Chunked(state) => {
                let used = state.read(bytes, |data| tally.received(data));
                let used = used.map_err(|_| Failure::Protocol)?;
                Ok((used, *state == Chunked::End))
            }
            Self::UntilClose => {
                tally.received(bytes);
                Ok((bytes.len(), false))
            }
        }
    }
}

/// Fields that a response may have.
const FIELDS: usize = 100;
