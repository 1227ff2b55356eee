//! Messages that are signed with a key that both sides have (TSIG, RFC 8945).

use aws_lc_rs::hmac;
use serde::Deserialize;

use super::message::{ADDITIONAL, Answer, Name, after_name, called, number, put};

/// How a message is signed (RFC 8945 section 6).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// `hmac-sha256`.
    #[default]
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

/// A key, by the name that the server knows it by.
#[derive(Debug)]
pub struct Key {
    name: Name,
    algorithm: &'static [u8],
    secret: hmac::Key,
}

/// What a message was signed with, which its answer is signed over.
#[derive(Debug)]
pub struct Signature(hmac::Tag);

impl Key {
    /// A key that both sides call `name`.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Self {
        let (called, algorithm) = match algorithm {
            Algorithm::HmacSha256 => (&b"\x0bhmac-sha256\0"[..], hmac::HMAC_SHA256),
            Algorithm::HmacSha384 => (&b"\x0bhmac-sha384\0"[..], hmac::HMAC_SHA384),
            Algorithm::HmacSha512 => (&b"\x0bhmac-sha512\0"[..], hmac::HMAC_SHA512),
        };
        Self {
            name,
            algorithm: called,
            secret: hmac::Key::new(algorithm, secret),
        }
    }

    /// Signs a message that has no additional records, at `now` seconds since 1970.
    pub fn sign(&self, message: &mut Vec<u8>, now: u64) -> Signature {
        let signed = [&message[..], &self.variables(now, FUDGE, 0, &[])].concat();
        let tag = hmac::sign(&self.secret, &signed);
        let id = [message[0], message[1]];
        let mut data = self.algorithm.to_vec();
        data.extend(&now.to_be_bytes()[2..]);
        put(&mut data, FUDGE);
        put(&mut data, tag.as_ref().len() as u16);
        data.extend(tag.as_ref());
        data.extend(id);
        data.extend([0; 4]);
        message.extend(self.name.bytes());
        put(message, TSIG);
        put(message, ANY);
        message.extend([0; 4]);
        put(message, data.len() as u16);
        message.extend(data);
        message[ADDITIONAL + 1] = 1;
        Signature(tag)
    }

    /// Whether an answer to a message that was signed so comes from one who has the key.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn verify(&self, bytes: &[u8], request: &Signature, now: u64) -> Result<(), &'static str> {
        let answer = Answer::read(bytes).ok_or("it cannot be read")?;
        let (at, data) = match answer.last {
            Some((at, entry)) if entry.kind == TSIG => (at, entry.data),
            _ => return Err("it is not signed"),
        };
        let signed = Signed::read(data).ok_or("its signature cannot be read")?;
        if signed.error != 0 {
            return Err(called(signed.error));
        }
        let mut message = bytes[..at].to_vec();
        message[..2].copy_from_slice(signed.id);
        let others = number(&message, ADDITIONAL).and_then(|count| count.checked_sub(1));
        let others = others.ok_or("its signature is in the wrong place")?;
        message[ADDITIONAL..ADDITIONAL + 2].copy_from_slice(&others.to_be_bytes());
        let mut whole = Vec::new();
        put(&mut whole, request.0.as_ref().len() as u16);
        whole.extend(request.0.as_ref());
        whole.extend(message);
        whole.extend(self.variables(signed.time, signed.fudge, 0, signed.other));
        hmac::verify(&self.secret, &whole, signed.mac).map_err(|_| "its signature is wrong")?;
        match now.abs_diff(signed.time) <= u64::from(signed.fudge) {
            true => Ok(()),
            false => Err("it was signed at another time: compare the clocks"),
        }
    }

    /// What is signed beside the message (RFC 8945 section 4.3.3).
    fn variables(&self, time: u64, fudge: u16, error: u16, other: &[u8]) -> Vec<u8> {
        let mut bytes = self.name.bytes().to_vec();
        put(&mut bytes, ANY);
        bytes.extend([0; 4]);
        bytes.extend(self.algorithm);
        bytes.extend(&time.to_be_bytes()[2..]);
        put(&mut bytes, fudge);
        put(&mut bytes, error);
        put(&mut bytes, other.len() as u16);
        bytes.extend(other);
        bytes
    }
}

/// The record that signs an answer (RFC 8945 section 4.2).
struct Signed<'a> {
    time: u64,
    fudge: u16,
    mac: &'a [u8],
    id: &'a [u8],
    error: u16,
    other: &'a [u8],
}

impl<'a> Signed<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let rest = data.get(after_name(data, 0)?..)?;
        let mut time = [0; 8];
        time[2..].copy_from_slice(rest.get(..6)?);
        let mac = 10 + usize::from(number(rest, 8)?);
        Some(Self {
            time: u64::from_be_bytes(time),
            fudge: number(rest, 6)?,
            mac: rest.get(10..mac)?,
            id: rest.get(mac..mac + 2)?,
            error: number(rest, mac + 2)?,
            other: rest.get(mac + 6..)?,
        })
    }
}

const TSIG: u16 = 250;
const ANY: u16 = 255;
/// How far the clocks may be apart, in seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::dns::message::{Family, question};

    const NOW: u64 = 1_800_000_000;

    fn key(secret: &[u8]) -> Key {
        let name = Name::parse("adit").unwrap();
        Key::new(name, Algorithm::HmacSha512, secret)
    }

    /// An answer that is signed as a server does it: over the signature of the request too.
    fn answer(key: &Key, request: &Signature) -> Vec<u8> {
        let mut plain = question(9, &Name::parse("example").unwrap(), Family::V4);
        plain[2] |= 0x80;
        let mut over = Vec::new();
        put(&mut over, request.0.as_ref().len() as u16);
        over.extend(request.0.as_ref());
        over.extend(&plain);
        over.extend(key.variables(NOW, FUDGE, 0, &[]));
        let tag = hmac::sign(&key.secret, &over);
        let unsigned = plain.clone();
        key.sign(&mut plain, NOW);
        let mac = unsigned.len() + key.name.bytes().len() + 10 + key.algorithm.len() + 10;
        plain[mac..mac + 64].copy_from_slice(tag.as_ref());
        plain
    }

    #[test]
    fn an_answer_is_believed_from_who_has_the_key_and_saw_the_question() {
        let key = key(b"secret");
        let mut asked = question(9, &Name::parse("example").unwrap(), Family::V4);
        let question_length = asked.len();
        let request = key.sign(&mut asked, NOW);
        let good = answer(&key, &request);
        assert_eq!(key.verify(&good, &request, NOW + 300), Ok(()));
        assert!(key.verify(&good, &request, NOW + 301).is_err());
        assert!(self::key(b"other").verify(&good, &request, NOW).is_err());
        let other = key.sign(
            &mut question(9, &Name::parse("other").unwrap(), Family::V4),
            NOW,
        );
        assert!(key.verify(&good, &other, NOW).is_err());
        let mac = good.len() - 6 - 64..good.len() - 6;
        // Its id is signed as it was sent, and the key's name as it is known here.
        for at in (2..question_length).chain(mac) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(key.verify(&changed, &request, NOW).is_err(), "{at}");
        }
        for end in 0..good.len() {
            assert!(key.verify(&good[..end], &request, NOW).is_err(), "{end}");
        }
        let unsigned = {
            let mut bytes = question(9, &Name::parse("example").unwrap(), Family::V4);
            bytes[2] |= 0x80;
            bytes
        };
        assert_eq!(
            key.verify(&unsigned, &request, NOW),
            Err("it is not signed")
        );
    }
}
