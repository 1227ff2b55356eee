//! Suggestions when to renew (ARI, RFC 9773). Pebble makes none, so a directory of our own does, which
//! leads to pebble for everything else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use adit_shared::quic::tls;
use adit_shared::quic::tls::{read_certificates, read_key};
use adit_tests::pebble::{Pebble, Wish};
use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{DOMAIN, Public};

/// A directory that suggests to renew the first certificate that it is asked about at once, and all others
/// in a thousand years.
pub(super) async fn serve(pebble: &Pebble) -> (String, Arc<Mutex<Vec<String>>>) {
    let chain = read_certificates(&pebble.dir().join("server.pem")).unwrap();
    let key = read_key(&pebble.dir().join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base = format!("https://{}", address(&listener));
    let mut listing = pebble.listing().await;
    listing["renewalInfo"] = format!("{base}/suggest").into();
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let seen = asked.clone();
    let work = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut stream = BufReader::new(stream);
            let mut first = String::new();
            stream.read_line(&mut first).await.unwrap();
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap() > 2 {
                line.clear();
            }
            let body = match first.strip_prefix("GET /suggest/") {
                Some(rest) => {
                    let id = rest.split(' ').next().unwrap().to_owned();
                    let mut seen = seen.lock().unwrap();
                    seen.push(id.clone());
                    let year = if seen[0] == id { 2001 } else { 3001 };
                    format!(
                        r#"{{"suggestedWindow":{{"start":"{year}-01-02T04:00:00Z","end":"{year}-01-03T04:00:00Z"}}}}"#
                    )
                }
                None => listing.to_string(),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nRetry-After: 3600\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    };
    #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(work);
    (format!("{base}/dir"), asked)
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_authority_says_so() {
    let pebble = Pebble::start(Wish::default()).await;
    let (directory, asked) = serve(&pebble).await;
    let relay = Public::start(&pebble, &["--acme-directory", &directory]).await;
    let old = relay.trusted(DOMAIN).await;
    let new = relay.replaced(DOMAIN, &old).await;
    super::wait("it asks about the new one too", async || {
        asked.lock().unwrap().len() >= 2
    })
    .await;
    // That one is for later.
    assert_eq!(
        relay.metric("adit_relay_certificate_orders_total").await,
        2.0
    );
    assert_eq!(relay.trusted(DOMAIN).await, new);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|id| id.contains('.')) && asked[0] != asked[1]);
}
