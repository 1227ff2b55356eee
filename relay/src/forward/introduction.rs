//! What an origin is told of a visitor: `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use adit_shared::wire::fields::{BadField, Fields, FieldsMut, HeadTooLarge};
use http::header::HeaderValue;

/// What is said of a visitor who asked for one authority. It is the same for all requests of nearly any
/// connection, so it is put into words once.
#[derive(Clone, Debug)]
pub struct Introduction {
    address: String,
    element: String,
    proto: &'static str,
    authority: HeaderValue,
    /// All of it.
    fields: Fields,
}

impl Introduction {
    /// Of a visitor at `ip` who asked for `authority`, over TLS or not.
    pub fn new(ip: IpAddr, https: bool, authority: &HeaderValue) -> Self {
        let ip = ip.to_canonical();
        let proto = if https { "https" } else { "http" };
        let address = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("\"[{ip}]\""),
        };
        // An authority has no character that would need escaping within quotes.
        let host = authority.to_str().unwrap_or_default();
        let mut introduction = Self {
            address: ip.to_string(),
            element: format!("for={address};host=\"{host}\";proto={proto}"),
            proto,
            authority: authority.clone(),
            fields: Fields::new(),
        };
        // All of it can be said.
        introduction.fields = Fields::from_pairs(introduction.pairs()).unwrap_or_default();
        introduction
    }

    /// Says it.
    ///
    /// # Errors
    ///
    /// [`HeadTooLarge`].
    pub(super) fn put(&self, to: &mut FieldsMut) -> Result<(), HeadTooLarge> {
        to.put_all(&self.fields)
    }

    /// Says it in addition to what a trusted visitor `sent`.
    ///
    /// # Errors
    ///
    /// [`BadField`].
    pub(super) fn add<'a>(
        &self,
        sent: &(impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone),
        to: &mut FieldsMut,
    ) -> Result<(), BadField> {
        for (own, value) in self.pairs() {
            let name = own.as_bytes();
            let all = sent
                .clone()
                .filter(|(sent, _)| sent.eq_ignore_ascii_case(name));
            let mut all = all.map(|(_, value)| value).peekable();
            let is_list = own == X_FORWARDED_FOR || own == FORWARDED;
            match (is_list, all.peek()) {
                (_, None) => to.push(name, value)?,
                (false, Some(first)) => to.push(name, first)?,
                (true, Some(_)) => {
                    let list = all.chain([value]).collect::<Vec<_>>();
                    to.push(name, &list.join(&b", "[..]))?;
                }
            }
        }
        Ok(())
    }

    fn pairs(&self) -> [(&'static str, &[u8]); 4] {
        [
            (X_FORWARDED_FOR, self.address.as_bytes()),
            (FORWARDED, self.element.as_bytes()),
            ("x-forwarded-proto", self.proto.as_bytes()),
            ("x-forwarded-host", self.authority.as_bytes()),
        ]
    }
}

const FORWARDED: &str = "forwarded";
const X_FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static [u8], &'static [u8]);

    const SENT: [Pair; 5] = [
        (b"X-Forwarded-For", b"6.6.6.6"),
        (b"forwarded", b"for=6.6.6.6"),
        (b"x-forwarded-proto", b"ftp"),
        (b"x-forwarded-host", b"evil"),
        (b"x-forwarded-for", b"7.7.7.7"),
    ];

    fn said(introduction: &Introduction, sent: Option<&[Pair]>) -> Vec<(String, String)> {
        let mut to = FieldsMut::default();
        match sent {
            Some(sent) => introduction.add(&sent.iter().copied(), &mut to).unwrap(),
            None => introduction.put(&mut to).unwrap(),
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = to.take();
        let pairs = fields.iter().map(|(name, value)| (text(name), text(value)));
        pairs.collect()
    }

    fn expected(values: [&str; 4]) -> Vec<(String, String)> {
        let names = [
            "x-forwarded-for",
            "forwarded",
            "x-forwarded-proto",
            "x-forwarded-host",
        ];
        let pairs = names.into_iter().zip(values);
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_visitors_word_about_itself_is_kept_only_if_it_is_trusted() {
        let authority = HeaderValue::from_static("a.example:8443");
        let ip = "::ffff:192.0.2.7".parse().unwrap();
        let introduction = Introduction::new(ip, true, &authority);
        let element = "for=192.0.2.7;host=\"a.example:8443\";proto=https";
        let plain = expected(["192.0.2.7", element, "https", "a.example:8443"]);
        assert_eq!(said(&introduction, None), plain);
        assert_eq!(said(&introduction, Some(&[])), plain);
        let added = expected([
            "6.6.6.6, 7.7.7.7, 192.0.2.7",
            &format!("for=6.6.6.6, {element}"),
            "ftp",
            "evil",
        ]);
        assert_eq!(said(&introduction, Some(&SENT)), added);
    }

    #[test]
    fn ipv6_is_quoted_in_forwarded() {
        let ip = "2001:db8::1".parse().unwrap();
        let introduction = Introduction::new(ip, false, &HeaderValue::from_static("a"));
        let element = "for=\"[2001:db8::1]\";host=\"a\";proto=http";
        let all = expected(["2001:db8::1", element, "http", "a"]);
        assert_eq!(said(&introduction, None), all);
    }
}
