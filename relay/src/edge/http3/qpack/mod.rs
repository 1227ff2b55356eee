//! Header fields as HTTP/3 compresses them (QPACK, RFC 9204), without a dynamic table: we announce that it
//! has no room, so that nothing is kept between requests, no request waits for another, and the streams of
//! encoder and decoder have nothing to say.

mod huffman;
pub mod instructions;
mod integer;
mod table;

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use http::StatusCode;
use thiserror::Error;

use self::table::Found;

/// A field section that was read: names and values, in their order.
#[derive(Debug, Default)]
pub struct Section {
    text: Vec<u8>,
    fields: Vec<Place>,
}

/// Where a field is in the text.
#[derive(Debug)]
struct Place {
    start: usize,
    /// Where the name ends and the value begins.
    middle: usize,
    end: usize,
}

/// What a field section may have.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Bytes of all names and values.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// Why there is no section.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadSection {
    /// It cannot be decompressed, which is an error of the connection.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has more bytes than the limit.
    #[error("the header is too large")]
    TooLarge,
    /// It has more fields than the limit.
    #[error("the header has too many fields")]
    TooMany,
}

/// What is wrong with compressed fields.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Reads a field section (RFC 9204 section 4.5). It takes no more memory than `limit` allows, whatever it
/// says of itself.
///
/// # Errors
///
/// [`BadSection`].
pub fn decode(mut from: &[u8], limit: Limit) -> Result<Section, BadSection> {
    let inserts = integer::get(&mut from, 8)?;
    let is_below = from.first().is_some_and(|byte| byte & 0x80 != 0);
    integer::get(&mut from, 7)?;
    if inserts != 0 || is_below {
        return Err(DYNAMIC.into());
    }
    let mut section = Section {
        // Usual text is half again as long as its code.
        text: Vec::with_capacity((2 * from.len()).min(limit.bytes)),
        fields: Vec::with_capacity(USUAL),
    };
    while let Some(first) = from.first().copied() {
        if section.fields.len() == limit.fields {
            return Err(BadSection::TooMany);
        }
        let start = section.text.len();
        let middle = match first {
            // Both in the table.
            0x80.. => {
                let (name, value) = known(&mut from, first & 0x40 != 0, 6)?;
                section.push(name.as_bytes(), limit)?;
                let middle = section.text.len();
                section.push(value.as_bytes(), limit)?;
                middle
            }
            // The name in the table.
            0x40..0x80 => {
                let (name, _) = known(&mut from, first & 0x10 != 0, 4)?;
                section.push(name.as_bytes(), limit)?;
                let middle = section.text.len();
                section.take(&mut from, 7, limit)?;
                middle
            }
            // Neither.
            0x20..0x40 => {
                section.take(&mut from, 3, limit)?;
                let middle = section.text.len();
                section.take(&mut from, 7, limit)?;
                middle
            }
            ..0x20 => return Err(DYNAMIC.into()),
        };
        section.fields.push(Place {
            start,
            middle,
            end: section.text.len(),
        });
    }
    Ok(section)
}

fn known(
    from: &mut &[u8],
    is_static: bool,
    prefix: u32,
) -> Result<(&'static str, &'static str), Malformed> {
    let number = integer::get(from, prefix)?;
    if !is_static {
        return Err(DYNAMIC);
    }
    table::entry(number).ok_or(Malformed("a field is in no table"))
}

const DYNAMIC: Malformed = Malformed("a field is in the dynamic table, which has no room");

impl Section {
    /// Name and value of each field.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let text = |range: Range<usize>| &self.text[range];
        let fields = self.fields.iter();
        fields.map(move |place| {
            (
                text(place.start..place.middle),
                text(place.middle..place.end),
            )
        })
    }

    fn push(&mut self, text: &[u8], limit: Limit) -> Result<(), BadSection> {
        if text.len() > limit.bytes - self.text.len() {
            return Err(BadSection::TooLarge);
        }
        self.text.extend_from_slice(text);
        Ok(())
    }

    /// Takes a string whose length has this `prefix`, above which is the mark of Huffman's code.
    fn take(&mut self, from: &mut &[u8], prefix: u32, limit: Limit) -> Result<(), BadSection> {
        let is_code = from.first().is_some_and(|byte| byte & 1 << prefix != 0);
        let len = integer::get(from, prefix)?;
        let (text, rest) = usize::try_from(len)
            .ok()
            .and_then(|len| from.split_at_checked(len))
            .ok_or(Malformed("a string ends too late"))?;
        *from = rest;
        if !is_code {
            return self.push(text, limit);
        }
        let room = limit.bytes - self.text.len();
        if huffman::decode(text, &mut self.text, room)? {
            Ok(())
        } else {
            Err(BadSection::TooLarge)
        }
    }
}

/// Begins a field section.
pub fn begin(to: &mut BytesMut) {
    to.put_slice(&[0, 0]);
}

/// Adds the status of a response, which comes before all fields.
pub fn put_status(status: StatusCode, to: &mut BytesMut) {
    put(b":status", status.as_str().as_bytes(), to);
}

/// Adds a field, whose name is in lower case.
pub fn put(name: &[u8], value: &[u8], to: &mut BytesMut) {
    to.reserve(name.len() + value.len() + LENGTHS);
    match table::find(name, value) {
        Found::Whole(number) => return integer::put(to, 0xc0, 6, number.into()),
        Found::Name(number) => integer::put(to, 0x50, 4, number.into()),
        Found::Nothing => {
            integer::put(to, 0x20, 3, name.len() as u64);
            to.put_slice(name);
        }
    }
    integer::put(to, 0, 7, value.len() as u64);
    to.put_slice(value);
}

/// Room for the lengths of a name and a value.
const LENGTHS: usize = 16;
/// Fields of a usual request.
const USUAL: usize = 24;

#[cfg(test)]
mod tests;
