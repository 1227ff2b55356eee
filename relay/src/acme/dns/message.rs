//! DNS messages (RFC 1035 section 4), no more than the relay needs: questions for addresses, and changes
//! of one TXT record (RFC 2136). What a server answers is read with every length checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name as messages have it: labels after their lengths, in lower case, never compressed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name(Vec<u8>);

impl Name {
    /// Nothing when it is no name that DNS could have. A dot at the end changes nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Vec::new();
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            let length = u8::try_from(label.len()).ok()?;
            let is_good = label.bytes().all(|byte| byte.is_ascii_graphic());
            if !(1..=63).contains(&length) || !is_good {
                return None;
            }
            bytes.push(length);
            bytes.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        bytes.push(0);
        (bytes.len() <= 255).then_some(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is this zone's own name or one below it.
    pub(super) fn is_in(&self, zone: &Self) -> bool {
        // A length is never a letter, so this begins at a label.
        self.0.ends_with(&zone.0)
    }
}

/// What addresses are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Family {
    /// IPv4 (`A`).
    V4 = 1,
    /// IPv6 (`AAAA`).
    V6 = 28,
}

/// A question for the addresses of a name, for a server that asks others where it has to.
pub fn question(id: u16, name: &Name, family: Family) -> Vec<u8> {
    let mut message = header(id, RECURSE, [1, 0, 0, 0]);
    message.extend(name.bytes());
    put(&mut message, family as u16);
    put(&mut message, IN);
    message
}

/// What is done with a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// A change of one TXT record in `zone`. Nothing when the text is too long for one string.
pub(super) fn update(
    id: u16,
    zone: &Name,
    change: Change,
    (name, text): (&Name, &str),
) -> Option<Vec<u8>> {
    let length = u8::try_from(text.len()).ok()?;
    let mut message = header(id, UPDATE, [1, 0, 1, 0]);
    message.extend(zone.bytes());
    put(&mut message, SOA);
    put(&mut message, IN);
    message.extend(name.bytes());
    put(&mut message, TXT);
    // RFC 2136 sections 2.5.1 and 2.5.4.
    let (class, ttl) = match change {
        Change::Add => (IN, TTL),
        Change::Remove => (NONE, 0),
    };
    put(&mut message, class);
    message.extend(ttl.to_be_bytes());
    put(&mut message, u16::from(length) + 1);
    message.push(length);
    message.extend(text.bytes());
    Some(message)
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer<'a> {
    /// That of the question that it answers.
    pub id: u16,
    /// 0 for success (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
    pub code: u8,
    answers: Vec<Entry<'a>>,
    /// The very last record of all, and where it begins.
    pub(super) last: Option<(usize, Entry<'a>)>,
}

/// A record of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) kind: u16,
    pub(super) data: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Nothing when it is not an answer, or is cut off.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let flags = number(bytes, 2)?;
        if flags & RESPONSE == 0 {
            return None;
        }
        let mut at = HEADER;
        for _ in 0..number(bytes, 4)? {
            at = after_name(bytes, at)? + 4;
        }
        let mut answers = Vec::new();
        let mut last = None;
        for section in [6, 8, 10] {
            for _ in 0..number(bytes, section)? {
                let start = at;
                let fixed = after_name(bytes, at)?;
                let (kind, length) = (number(bytes, fixed)?, number(bytes, fixed + 8)?);
                let data = fixed + 10;
                at = data + usize::from(length);
                let entry = Entry {
                    kind,
                    data: bytes.get(data..at)?,
                };
                if section == 6 {
                    answers.push(entry);
                }
                last = Some((start, entry));
            }
        }
        Some(Self {
            id: number(bytes, 0)?,
            code: (flags & 0xf) as u8,
            answers,
            last,
        })
    }

    /// The addresses in it, of the name that was asked for or of one that it is an alias of.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let address = |entry: &Entry<'_>| {
            if entry.kind == Family::V4 as u16 {
                let bytes: [u8; 4] = entry.data.try_into().ok()?;
                Some(Ipv4Addr::from(bytes).into())
            } else if entry.kind == Family::V6 as u16 {
                let bytes: [u8; 16] = entry.data.try_into().ok()?;
                Some(Ipv6Addr::from(bytes).into())
            } else {
                None
            }
        };
        self.answers.iter().filter_map(address).collect()
    }
}

/// What a code of an answer is called.
pub fn called(code: u16) -> &'static str {
    match code {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        16 => "BADSIG",
        17 => "BADKEY",
        18 => "BADTIME",
        22 => "BADTRUNC",
        _ => "a code that is not known",
    }
}

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut message = Vec::new();
    for number in [id, flags].into_iter().chain(counts) {
        put(&mut message, number);
    }
    message
}

pub(super) fn put(message: &mut Vec<u8>, number: u16) {
    message.extend(number.to_be_bytes());
}

pub(super) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Where a name that begins at `at` ends; it may end with a pointer to another (RFC 1035 section 4.1.4).
pub(super) fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            64..192 => return None,
        }
    }
}

/// The length of what every message begins with.
const HEADER: usize = 12;
/// Where the header counts the records after all others.
pub(super) const ADDITIONAL: usize = 10;
const RESPONSE: u16 = 0x8000;
const RECURSE: u16 = 0x0100;
const UPDATE: u16 = 5 << 11;
const SOA: u16 = 6;
const TXT: u16 = 16;
const IN: u16 = 1;
const NONE: u16 = 254;
/// In seconds: nobody needs it for longer, and what is wrong is forgotten soon.
const TTL: u32 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// An answer with an alias, and an address of each family, as a server compresses it.
    fn answer() -> Vec<u8> {
        let mut bytes = question(7, &name("App.customer.com."), Family::V4);
        bytes[2] |= 0x80;
        bytes[7] = 3;
        bytes.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03www\xc0\x10");
        bytes.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x07");
        bytes.extend(b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\x20\x01\x0d\xb8");
        bytes.extend(b"\0\0\0\0\0\0\0\0\0\0\0\x01");
        bytes
    }

    #[test]
    fn messages_are_as_the_standards_have_them() {
        let asked = question(0x1234, &name("a.example"), Family::V6);
        let head = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
        assert_eq!(
            asked,
            [&head[..], b"\x01a\x07example\0\x00\x1c\x00\x01"].concat()
        );

        let zone = name("example");
        let record = (&name("_x.example"), "v");
        let head = b"\0\x01\x28\0\0\x01\0\0\0\x01\0\0\x07example\0\0\x06\0\x01";
        let add = b"\x02_x\x07example\0\0\x10\0\x01\0\0\0\x3c\0\x02\x01v";
        let remove = b"\x02_x\x07example\0\0\x10\0\xfe\0\0\0\0\0\x02\x01v";
        let made = |change| update(1, &zone, change, record).unwrap();
        assert_eq!(made(Change::Add), [&head[..], add].concat());
        assert_eq!(made(Change::Remove), [&head[..], remove].concat());
        let long = "v".repeat(256);
        assert_eq!(update(1, &zone, Change::Add, (&zone, &long)), None);
    }

    #[test]
    fn a_name_is_in_its_zone_and_in_no_other() {
        let zone = name("Example.com.");
        assert!(name("example.com").is_in(&zone) && name("_a.b.example.COM").is_in(&zone));
        assert!(!name("xexample.com").is_in(&zone) && !name("com").is_in(&zone));
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "\u{e4}.com",
            &"a".repeat(64),
            &"a.".repeat(128),
        ] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_read_behind_an_alias() {
        let bytes = answer();
        let answer = Answer::read(&bytes).unwrap();
        assert_eq!((answer.id, answer.code), (7, 0));
        let addresses: [IpAddr; 2] = [
            "203.0.113.7".parse().unwrap(),
            "2001:db8::1".parse().unwrap(),
        ];
        assert_eq!(answer.addresses(), addresses);
        for end in 0..bytes.len() {
            assert!(Answer::read(&bytes[..end]).is_none(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_back_does_harm(noise in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
            drop(Answer::read(&noise));
            let mut bytes = answer();
            let at = at.index(bytes.len());
            bytes.splice(at..(at + noise.len()).min(answer().len()), noise);
            if let Some(answer) = Answer::read(&bytes) {
                prop_assert!(answer.addresses().len() <= bytes.len() / 14);
            }
        }
    }
}
