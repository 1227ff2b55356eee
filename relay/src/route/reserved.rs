//! Names that nobody can claim: they would pass for the relay itself or for somebody whom people trust, or
//! mean something to mail, certificate or browser software.
//!
//! A name is made of letters, digits and hyphens, and is no encoded one (`xn--`), so it cannot mix scripts.
//! What is left to those who want to be taken for others is digits for letters, hyphens, and the names of
//! others beside words of trust.

use thiserror::Error;

/// Whether `name` may be claimed.
///
/// # Errors
///
/// [`Reserved`].
pub fn check(name: &str) -> Result<(), Reserved> {
    if RESERVED.contains(&name) {
        return Err(Reserved::Itself);
    }
    // As it is spelled, and as it is read.
    for one in [None, Some('l'), Some('i')] {
        let words = name.split('-');
        let words: Vec<_> = words
            .map(|word| one.map_or_else(|| word.to_owned(), |one| read(word, one)))
            .collect();
        let whole = words.concat();
        let mut known = RESERVED.iter().chain(TRUSTED);
        if let Some(known) = known.find(|known| **known == whole) {
            return Err(Reserved::Like(known));
        }
        for brand in TRUSTED {
            let is_beside = words.iter().any(|word| word == brand)
                && words.iter().any(|word| BAIT.contains(&word.as_str()));
            let is_joined = [whole.strip_prefix(brand), whole.strip_suffix(brand)]
                .into_iter()
                .flatten()
                .any(|rest| BAIT.contains(&rest));
            if is_beside || is_joined {
                return Err(Reserved::Like(brand));
            }
        }
    }
    Ok(())
}

/// Why a name cannot be claimed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Reserved {
    /// It is one of those.
    #[error("is reserved")]
    Itself,
    /// It could be taken for this.
    #[error("could be taken for {0}")]
    Like(&'static str),
}

/// A word as it is read in passing; 1 is `one`. A number of its own is one: `app-13` is no fruit.
fn read(word: &str, one: char) -> String {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.to_owned();
    }
    let letter = |c| match c {
        '0' => 'o',
        '1' => one,
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        '8' => 'b',
        '9' => 'g',
        other => other,
    };
    let letters: String = word.chars().map(letter).collect();
    letters.replace("vv", "w").replace("rn", "m")
}

/// Whose names are used most to get at passwords and money.
const TRUSTED: &[&str] = &[
    "amazon",
    "apple",
    "binance",
    "coinbase",
    "dhl",
    "docusign",
    "facebook",
    "fedex",
    "google",
    "icloud",
    "instagram",
    "metamask",
    "microsoft",
    "netflix",
    "office365",
    "outlook",
    "paypal",
    "usps",
    "wellsfargo",
    "whatsapp",
];

/// Words that make people trust what stands beside them.
const BAIT: &[&str] = &[
    "account", "accounts", "auth", "bank", "billing", "com", "confirm", "help", "id", "login",
    "logon", "official", "password", "pay", "payment", "recovery", "secure", "security", "service",
    "signin", "support", "unlock", "update", "verify", "wallet", "www",
];

const RESERVED: &[&str] = &[
    "abuse",
    "account",
    "accounts",
    "acme",
    "adit",
    "admin",
    "administrator",
    "agent",
    "api",
    "auth",
    "autoconfig",
    "autodiscover",
    "billing",
    "broadcasthost",
    "cdn",
    "console",
    "dashboard",
    "dns",
    "edge",
    "ftp",
    "ftps",
    "help",
    "hostmaster",
    "imap",
    "info",
    "internal",
    "isatap",
    "localdomain",
    "localhost",
    "login",
    "mail",
    "metrics",
    "mta-sts",
    "ns",
    "ns1",
    "ns2",
    "ns3",
    "ns4",
    "oauth",
    "pop",
    "pop3",
    "postmaster",
    "relay",
    "root",
    "security",
    "signin",
    "signup",
    "smtp",
    "sso",
    "ssl",
    "status",
    "support",
    "tunnel",
    "tunnels",
    "usenet",
    "uucp",
    "webmail",
    "webmaster",
    "wpad",
    "www",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_passes_for_another_is_refused() {
        for name in ["www", "admin", "api", "login", "mta-sts"] {
            assert_eq!(check(name), Err(Reserved::Itself), "{name}");
        }
        for (name, like) in [
            ("l0gin", "login"),
            ("log-in", "login"),
            ("adm1n", "admin"),
            ("b1lling", "billing"),
            ("wvvw", "www"),
            ("5upp0rt", "support"),
            ("paypal", "paypal"),
            ("paypa1", "paypal"),
            ("pay-pal", "paypal"),
            ("rnicrosoft", "microsoft"),
            ("g00gle", "google"),
            ("paypal-login", "paypal"),
            ("secure-paypa1-eu", "paypal"),
            ("applesupport", "apple"),
            ("www-netflix", "netflix"),
            ("metamask-wa11et", "metamask"),
            ("office365", "office365"),
            ("office-365-login", "office365"),
        ] {
            assert_eq!(check(name), Err(Reserved::Like(like)), "{name}");
        }
    }

    #[test]
    fn what_developers_call_their_things_is_free() {
        for name in [
            "brave-otter",
            "app",
            "app1",
            "app-13",
            "api-v2",
            "my-api",
            "apl",
            "google-calendar-test",
            "shop-login",
            "stripe-webhooks",
            "github-bot",
            "paypal-sandbox",
            "pineapple",
            "barn",
            "a11y",
            "404",
            "i18n",
            "pay",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }
}
