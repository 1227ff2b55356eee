//! Whether something between here and the relay answers in its place.

use std::net::SocketAddr;
use std::time::Duration;

use adit_shared::checkup::Row;
use http::Uri;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::head::{Head, head};
use super::tcp::Reached;

/// What the relay's host answers where everybody asks without TLS; none when it does not. Only where
/// HTTPS is at its usual port: elsewhere nobody knows where HTTP is.
pub(super) async fn redirects(addresses: &[SocketAddr], host: &str) -> Option<Head> {
    let address = addresses.iter().find(|address| address.port() == 443)?;
    let asked = async {
        let mut stream = TcpStream::connect((address.ip(), 80)).await.ok()?;
        head(&mut stream, host).await
    };
    let head = timeout(PATIENCE, asked).await.ok().flatten()?;
    leads_elsewhere(&head, host).then_some(head)
}

/// Whether a response sends to another host, or says itself that one has to sign in (RFC 6585
/// section 6).
fn leads_elsewhere(head: &Head, host: &str) -> bool {
    if head.status == 511 {
        return true;
    }
    let target = head
        .location
        .as_deref()
        .and_then(|text| text.parse::<Uri>().ok());
    let target = target.as_ref().and_then(Uri::host);
    (300..400).contains(&head.status)
        && target.is_some_and(|target| !target.trim_matches(['[', ']']).eq_ignore_ascii_case(host))
}

pub(super) fn row(tcp: &[Reached], gateway: Option<Head>) -> Row {
    if let Some(head) = tcp.iter().find_map(Reached::plain) {
        return Row::fail(
            NAME,
            format!(
                "where the relay's TLS should be, plain HTTP answers {}",
                said(head)
            ),
            FIX,
        );
    }
    if let Some(head) = gateway {
        return Row::fail(NAME, format!("port 80 answers {}", said(&head)), FIX);
    }
    if !tcp.iter().any(Reached::is_connected) {
        return Row::skipped(NAME, "nothing answers over tcp");
    }
    Row::ok(NAME, "none seen")
}

fn said(head: &Head) -> String {
    match &head.location {
        Some(location) => format!("{}, go to {location}", head.status),
        None => head.status.to_string(),
    }
}

const NAME: &str = "captive portal";
const FIX: &str = "open any http:// page in a browser and sign in to this network; if there is nothing to sign in to, \
                   another server has that port: check host and port of the relay";
const PATIENCE: Duration = Duration::from_millis(2500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_elsewhere_is_a_portal() {
        let head = |status, location: &str| Head {
            status,
            location: (!location.is_empty()).then(|| location.to_owned()),
            date: None,
        };
        for (status, location, elsewhere) in [
            (200, "", false),
            (404, "", false),
            (511, "", true),
            (302, "http://portal.example/login?u=1", true),
            (308, "https://relay.example.com/", false),
            (308, "https://Relay.Example.com:8443/", false),
            (302, "/login", false),
        ] {
            let head = head(status, location);
            assert_eq!(
                leads_elsewhere(&head, "relay.example.com"),
                elsewhere,
                "{head:?}"
            );
        }
    }
}
