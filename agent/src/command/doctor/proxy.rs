//! Variables that name a proxy.

use adit_shared::checkup::Row;

use super::Setting;
use crate::config::proxy::BadProxy;
use crate::config::{Proxy, RelayAddress};

/// Which variables are set. Passwords in them are not shown.
pub(super) fn proxies(setting: &Setting<'_>) -> Row {
    let value = |name: &str| {
        let value = (setting.variable)(name)?;
        let text = value.to_string_lossy().into_owned();
        (!text.is_empty()).then_some(text)
    };
    let set: Vec<_> = PROXIES
        .iter()
        .filter_map(|name| Some(format!("{name}={}", masked(&value(name)?))))
        .collect();
    if set.is_empty() {
        return Row::ok(NAME, "no variable for one is set");
    }
    let except = EXCEPT.iter().find_map(|name| {
        let value = value(name)?;
        Some(format!(" ({name}={value})"))
    });
    let except = except.unwrap_or_default();
    let seen = format!("{}{except}", set.join(", "));
    let relays = setting.given.relays().unwrap_or_default();
    let hosts: Vec<_> = relays
        .iter()
        .filter_map(|relay| match relay {
            RelayAddress::Remote { host, .. } => Some(host.as_str()),
            RelayAddress::Local => None,
        })
        .collect();
    let mut through = Vec::new();
    for host in &hosts {
        match to(setting, host) {
            Ok(Some(_)) => through.push(*host),
            Ok(None) => {}
            Err(error) => {
                let fix = "give it as http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT";
                return Row::warn(NAME, format!("{seen}: not used: {error}"), fix);
            }
        }
    }
    let used = if hosts.is_empty() {
        "used for tcp to a relay".to_owned()
    } else if through.is_empty() {
        "not used for this relay".to_owned()
    } else {
        format!("used for tcp to {}", through.join(", "))
    };
    Row::ok(NAME, format!("{seen}: {used}"))
}

/// The proxy through which TCP goes to `host`.
pub(super) fn to(setting: &Setting<'_>, host: &str) -> Result<Option<Proxy>, BadProxy> {
    Proxy::to(host, |name| {
        let value = (setting.variable)(name)?;
        value.into_string().ok()
    })
}

/// Scheme, host and port of a proxy's URL; what else there is may be a secret.
fn masked(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // The last @ ends the credentials: a password may hold one, or a slash, that was not encoded.
    let (hidden, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    format!("{scheme}{hidden}{}", &rest[..end])
}

const NAME: &str = "proxy";
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_proxy_is_shown() {
        for (url, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://proxy:3128/", "http://proxy:3128"),
            ("proxy:3128", "proxy:3128"),
            (
                "http://me:canary@proxy:3128/?canary",
                "http://***@proxy:3128",
            ),
            ("me:canary@proxy", "***@proxy"),
            ("http://me:can@ary/canary@proxy", "http://***@proxy"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
