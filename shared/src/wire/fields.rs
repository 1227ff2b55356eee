//! Header fields as they travel: encoded, checked once, and read where they lie.
//!
//! A head goes from one connection's text to the stream, and from the stream to the other connection's
//! text, without a map in between: what is written is [`FieldsMut`], what was read is [`Fields`]. Order,
//! repeats and the bytes of values are kept; names are lower case.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use super::table::{self, Entry};
use super::varint::{self, Malformed};

/// The largest encoded head or trailer section, in bytes.
pub const MAX_HEAD: usize = 64 << 10;
/// The most fields of one head or trailer section.
pub const MAX_FIELDS: usize = 256;
/// The longest name of a field, in bytes.
pub const MAX_NAME: usize = 256;

/// The fields of a head, or trailers. Cheap to clone: what was read shares memory with the received bytes.
///
/// There are never more than [`MAX_FIELDS`], and no name is longer than [`MAX_NAME`].
#[derive(Clone, Default)]
pub struct Fields {
    count: usize,
    /// All of them, encoded, without their number.
    bytes: Bytes,
}

impl Fields {
    /// None at all.
    pub const fn new() -> Self {
        Self {
            count: 0,
            bytes: Bytes::new(),
        }
    }

    /// Fields of these names and values. The names may be in upper case; they are kept in lower case.
    ///
    /// # Errors
    ///
    /// [`BadField`].
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, BadField>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let pairs = pairs.into_iter();
        let mut fields = FieldsMut::with_capacity(USUAL * pairs.size_hint().0);
        for (name, value) in pairs {
            fields.push(name.as_ref(), value.as_ref())?;
        }
        Ok(fields.take())
    }

    /// How many there are; each repeat counts.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Name, in lower case, and value of each field, in their order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { left: &self.bytes }
    }

    /// The first value of the field `name`, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// All values of the field `name`, which is in lower case.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let all = self.iter();
        all.filter_map(move |(one, value)| (one == name.as_bytes()).then_some(value))
    }

    /// Keeps the fields for which `keep` is true of name and value. Copies nothing when it keeps all.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let mut left = &self.bytes[..];
        let mut kept: Option<BytesMut> = None;
        let mut count = 0;
        loop {
            let before = left;
            let Ok(Raw { name, value, .. }) = take(&mut left) else {
                break;
            };
            if keep(name, value) {
                count += 1;
                if let Some(kept) = &mut kept {
                    kept.put_slice(&before[..before.len() - left.len()]);
                }
            } else if kept.is_none() {
                kept = Some(self.bytes[..self.bytes.len() - before.len()].into());
            }
        }
        if let Some(kept) = kept {
            (self.count, self.bytes) = (count, kept.freeze());
        }
    }

    /// Removes all fields `name`, which is in lower case.
    pub fn remove(&mut self, name: &str) {
        self.retain(|one, _| one != name.as_bytes());
    }

    /// The same in memory of their own: what was read shares it with everything read along with it.
    pub fn detached(&self) -> Self {
        Self {
            count: self.count,
            bytes: Bytes::copy_from_slice(&self.bytes),
        }
    }

    /// How many bytes they are, encoded, without their number.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends them encoded: trailers, or the last part of a head.
    pub fn encode(&self, to: &mut BytesMut) {
        varint::put(to, self.count as u64);
        to.put_slice(&self.bytes);
    }

    /// Reads fields that fill `from`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are invalid, too many, or followed by more bytes.
    pub fn decode(mut from: Bytes) -> Result<Self, Malformed> {
        let count = varint::get(&mut from)?;
        if count > MAX_FIELDS as u64 {
            return Err(Malformed::Invalid("too many fields"));
        }
        let mut left = &from[..];
        let mut lower = true;
        for _ in 0..count {
            let Raw { code, name, value } = take(&mut left)?;
            if code == 0 {
                lower &= is_lower(name).ok_or(Malformed::Invalid("not a name of a field"))?;
            }
            if !is_value(value) {
                return Err(Malformed::Invalid("not a value of a field"));
            }
        }
        if !left.is_empty() {
            return Err(Malformed::Invalid("bytes after the last field"));
        }
        let read = Self {
            count: count as usize,
            bytes: from,
        };
        if lower {
            return Ok(read);
        }
        Self::from_pairs(&read).map_err(|_| Malformed::Invalid("not a field"))
    }

    /// As a map, for what speaks HTTP with one.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.count);
        let mut left = &self.bytes[..];
        while let Ok(raw) = take(&mut left) {
            if let Some((name, value)) = self.to_header(&raw) {
                map.append(name, value);
            }
        }
        map
    }

    /// It cannot fail, since all was checked.
    fn to_header(&self, raw: &Raw<'_>) -> Option<(HeaderName, HeaderValue)> {
        let known = usize::from(raw.code).checked_sub(1);
        let known = known.and_then(|at| table::HEADERS.get(at));
        let name = match known {
            Some((name, Some(value))) => return Some((name.clone(), value.clone())),
            Some((name, None)) => name.clone(),
            None => HeaderName::from_bytes(raw.name).ok()?,
        };
        let value = HeaderValue::from_maybe_shared(self.bytes.slice_ref(raw.value)).ok()?;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PartialEq for Fields {
    /// Whether they are the same fields in the same order, however they are written.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let fields = self.iter().map(|(name, value)| (text(name), text(value)));
        f.debug_list().entries(fields).finish()
    }
}

impl TryFrom<&HeaderMap> for Fields {
    type Error = HeadTooLarge;

    fn try_from(map: &HeaderMap) -> Result<Self, HeadTooLarge> {
        // The map has nothing that is not valid.
        Self::from_pairs(map).map_err(|_| HeadTooLarge)
    }
}

/// Name, in lower case, and value of each field.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    left: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let Raw { name, value, .. } = take(&mut self.left).ok()?;
        Some((name, value))
    }
}

/// Fields that are being put together.
#[derive(Debug, Default)]
pub struct FieldsMut {
    count: usize,
    bytes: BytesMut,
}

impl FieldsMut {
    /// None yet, with room for this many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            count: 0,
            bytes: BytesMut::with_capacity(bytes),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a field behind the others, whatever it is made of. The name may be in upper case; it is kept in
    /// lower case.
    ///
    /// # Errors
    ///
    /// [`BadField`]; then nothing was added.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadField> {
        if !is_value(value) {
            return Err(BadField::Invalid);
        }
        match table::name_code(name) {
            0 => self.push_literal(name, value),
            code => self.push_known(code, value),
        }
    }

    /// Adds a field whose name is known from the start.
    ///
    /// # Errors
    ///
    /// [`HeadTooLarge`]; then nothing was added.
    pub fn put(&mut self, name: Name, value: &HeaderValue) -> Result<(), HeadTooLarge> {
        let pushed = match name.code {
            0 => self.push_literal(name.text.as_bytes(), value.as_bytes()),
            code => self.push_known(code, value.as_bytes()),
        };
        // Both were checked before.
        pushed.map_err(|_| HeadTooLarge)
    }

    /// Adds all of these fields behind the others.
    ///
    /// # Errors
    ///
    /// [`HeadTooLarge`]; then nothing was added.
    pub fn put_all(&mut self, fields: &Fields) -> Result<(), HeadTooLarge> {
        let count = self.count + fields.count;
        if count > MAX_FIELDS {
            return Err(HeadTooLarge);
        }
        self.count = count;
        self.bytes.extend_from_slice(&fields.bytes);
        Ok(())
    }

    /// Takes all fields out, and keeps the memory behind them for the next ones.
    pub fn take(&mut self) -> Fields {
        Fields {
            count: std::mem::take(&mut self.count),
            bytes: self.bytes.split().freeze(),
        }
    }

    /// Forgets all fields.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    fn push_literal(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadField> {
        if self.count == MAX_FIELDS || name.len() > MAX_NAME {
            return Err(HeadTooLarge.into());
        }
        let start = self.bytes.len();
        self.bytes.reserve(name.len() + value.len() + LENGTHS);
        self.bytes.put_u8(0);
        varint::put_bytes(&mut self.bytes, name);
        let at = self.bytes.len() - name.len();
        let mut valid = !name.is_empty();
        for byte in &mut self.bytes[at..] {
            *byte = LOWER[usize::from(*byte)];
            valid &= *byte != 0;
        }
        if !valid {
            self.bytes.truncate(start);
            return Err(BadField::Invalid);
        }
        varint::put_bytes(&mut self.bytes, value);
        self.count += 1;
        Ok(())
    }

    fn push_known(&mut self, name: u8, value: &[u8]) -> Result<(), BadField> {
        if self.count == MAX_FIELDS {
            return Err(HeadTooLarge.into());
        }
        match table::whole(name, value) {
            Some(code) => varint::put(&mut self.bytes, code.into()),
            None => {
                self.bytes.reserve(value.len() + LENGTHS);
                varint::put(&mut self.bytes, name.into());
                varint::put_bytes(&mut self.bytes, value);
            }
        }
        self.count += 1;
        Ok(())
    }
}

impl From<&Fields> for FieldsMut {
    fn from(fields: &Fields) -> Self {
        Self {
            count: fields.count,
            bytes: BytesMut::from(&fields.bytes[..]),
        }
    }
}

/// The name of a field that is known from the start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Name {
    text: &'static str,
    /// In the table; 0 if it is not there.
    code: u8,
}

impl Name {
    /// A name in lower case. For constants: what is wrong with it is found when it is compiled.
    ///
    /// # Panics
    ///
    /// When it is no name, or not in lower case.
    pub const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= MAX_NAME);
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] != 0 && LOWER[bytes[at] as usize] == bytes[at]);
            at += 1;
        }
        let code = table::lower_name_code(text);
        Self { text, code }
    }

    /// As text.
    pub const fn as_str(self) -> &'static str {
        self.text
    }
}

/// A head or trailers are above the protocol's limits.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "head or trailers are above {MAX_HEAD} bytes, {MAX_FIELDS} fields, or {MAX_NAME} bytes in a name"
)]
pub struct HeadTooLarge;

/// Why a field was not added.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadField {
    /// There are as many as there may be, or its name is too long.
    #[error(transparent)]
    TooLarge(#[from] HeadTooLarge),
    /// It is not what HTTP calls a name (RFC 9110 section 5.6.2) or a value (section 5.5).
    #[error("what should be a field is none")]
    Invalid,
}

/// A field where it lies.
struct Raw<'a> {
    /// In the table; 0 if the name is there as text.
    code: u8,
    name: &'a [u8],
    value: &'a [u8],
}

/// Takes the field that comes first.
fn take<'a>(from: &mut &'a [u8]) -> Result<Raw<'a>, Malformed> {
    let code = varint::get(from)?;
    let (name, value) = match table::entry(code) {
        Some(Entry::Name(name)) => (name.as_bytes(), take_value(from)?),
        Some(Entry::Field(name, value)) => (name.as_bytes(), value.as_bytes()),
        None if code == 0 => {
            let name = take_bytes(from, MAX_NAME, "name of a field is too long")?;
            (name, take_value(from)?)
        }
        None => return Err(Malformed::Invalid("unknown field code")),
    };
    let code = code as u8;
    Ok(Raw { code, name, value })
}

fn take_value<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    take_bytes(from, MAX_HEAD, "text of a head is too long")
}

fn take_bytes<'a>(
    from: &mut &'a [u8],
    max: usize,
    too_long: &'static str,
) -> Result<&'a [u8], Malformed> {
    let len = varint::get(from)?;
    if len > max as u64 {
        return Err(Malformed::Invalid(too_long));
    }
    let (bytes, rest) = from
        .split_at_checked(len as usize)
        .ok_or(Malformed::Incomplete)?;
    *from = rest;
    Ok(bytes)
}

/// Whether a name is in lower case; nothing if it is no name.
fn is_lower(name: &[u8]) -> Option<bool> {
    let mut lower = true;
    for byte in name {
        let low = LOWER[usize::from(*byte)];
        if low == 0 {
            return None;
        }
        lower &= low == *byte;
    }
    (!name.is_empty()).then_some(lower)
}

/// Whether these bytes can be a value (RFC 9110 section 5.5).
fn is_value(bytes: &[u8]) -> bool {
    // Sixteen at a time, without a way out in between.
    let good = |byte: u8| (byte >= b' ' || byte == b'\t') & (byte != 0x7f);
    let all_good = |some: &[u8; 16]| some.iter().fold(true, |all, byte| all & good(*byte));
    let (sixteens, rest) = bytes.as_chunks();
    let mut last = [b' '; 16];
    last[..rest.len()].copy_from_slice(rest);
    sixteens.iter().all(all_good) && all_good(&last)
}

/// The characters of names (RFC 9110 section 5.6.2), each with itself in lower case; 0 for others.
static LOWER: [u8; 256] = {
    let mut lower = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        lower[byte as usize] = match byte {
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' => byte,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => byte.to_ascii_lowercase(),
            _ => 0,
        };
        byte += 1;
    }
    lower
};

/// Bytes of a usual field.
const USUAL: usize = 32;
/// Room for the code and both lengths of a field.
const LENGTHS: usize = 9;

#[cfg(test)]
pub(super) mod tests;
