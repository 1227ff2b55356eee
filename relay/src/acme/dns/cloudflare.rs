//! Records at Cloudflare, by version 4 of its API.

use std::path::PathBuf;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{DnsError, Record};
use crate::acme::http::Client;

/// An account there.
pub(super) struct Cloudflare {
    client: Client,
    /// The file of the token; it is read anew each time, so that it can be changed.
    token: PathBuf,
    api: String,
}

#[derive(Deserialize)]
struct Zone {
    id: String,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    content: String,
}

impl Cloudflare {
    pub(super) fn new(client: Client, token: PathBuf) -> Self {
        let api = API.to_owned();
        Self { client, token, api }
    }

    pub(super) async fn present(&self, record: &Record) -> Result<(), DnsError> {
        let zone = self.zone(&record.name).await?;
        let body = json!({
            "type": "TXT",
            "name": record.name.trim_end_matches('.'),
            "content": format!("\"{}\"", record.value),
            "ttl": TTL,
        });
        let path = format!("zones/{zone}/dns_records");
        self.ask::<Value>(Method::POST, &path, Some(body)).await?;
        Ok(())
    }

    pub(super) async fn cleanup(&self, record: &Record) -> Result<(), DnsError> {
        let zone = self.zone(&record.name).await?;
        let name = record.name.trim_end_matches('.');
        let path = format!("zones/{zone}/dns_records?type=TXT&name={name}");
        let found: Vec<Found> = self.ask(Method::GET, &path, None).await?;
        for one in found {
            if one.content.trim_matches('"') == record.value {
                let path = format!("zones/{zone}/dns_records/{}", one.id);
                self.ask::<Value>(Method::DELETE, &path, None).await?;
            }
        }
        Ok(())
    }

    /// The zone that a name is in: that of its longest end which is one.
    async fn zone(&self, name: &str) -> Result<String, DnsError> {
        let mut rest = name.trim_end_matches('.');
        while rest.contains('.') {
            let path = format!("zones?name={rest}");
            let found: Vec<Zone> = self.ask(Method::GET, &path, None).await?;
            if let Some(zone) = found.into_iter().next() {
                return Ok(zone.id);
            }
            rest = rest.split_once('.').map_or("", |(_, rest)| rest);
        }
        Err(DnsError::NoZone(name.to_owned()))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, DnsError> {
        let unread = |error| DnsError::Token(self.token.clone(), error);
        let token = std::fs::read_to_string(&self.token).map_err(unread)?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.api))
            .header(AUTHORIZATION, format!("Bearer {}", token.trim()))
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Bytes::new, |body| body.to_string().into()));
        let bad = |_| unread(std::io::Error::other("it is no token"));
        let response = self.client.send(request.map_err(bad)?).await?;
        let status = response.status();
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if !status.is_success() {
            let why = answer["errors"][0]["message"]
                .as_str()
                .unwrap_or("no reason");
            return Err(DnsError::Refused(status, why.to_owned()));
        }
        serde_json::from_value(answer["result"].clone())
            .map_err(|_| DnsError::Refused(status, "something that is not understood".into()))
    }
}

const API: &str = "https://api.cloudflare.com/client/v4";
/// The shortest that every plan allows, in seconds.
const TTL: u32 = 120;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};

    use adit_shared::quic::tls::{self, Trust};
    use adit_shared::task::Tasks;
    use rustls::ServerConfig;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tracing::Span;

    use super::*;
    use crate::store::directory::Scratch;

    /// A stand-in for the API: it knows one zone and keeps records.
    async fn api(tasks: &Tasks) -> (String, Client, Arc<Mutex<Vec<String>>>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tasks.spawn(Span::none(), async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut request = String::new();
                while !is_whole(&request) {
                    request.push(stream.read_u8().await.unwrap().into());
                }
                let line = request.lines().next().unwrap();
                let (status, body) = respond(&request, line);
                requests.lock().unwrap().push(request);
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}", body.len());
                let response = format!("{head}\r\n\r\n{body}");
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        let client = Client::new(&Trust::Roots(vec![made.cert.der().clone()])).unwrap();
        (format!("https://localhost:{port}/v4"), client, seen)
    }

    fn is_whole(request: &str) -> bool {
        let Some((head, body)) = request.split_once("\r\n\r\n") else {
            return false;
        };
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().unwrap())
    }

    fn respond(request: &str, line: &str) -> (u16, String) {
        if !request.contains("authorization: Bearer secret\r\n") {
            return (403, r#"{"errors":[{"message":"bad token"}]}"#.into());
        }
        let result = if line.contains("zones?name=example.com ") {
            json!([{ "id": "z1" }])
        } else if line.contains("zones?") {
            json!([])
        } else if line.starts_with("GET") {
            json!([{ "id": "r1", "content": "\"other\"" }, { "id": "r2", "content": "\"value\"" }])
        } else {
            json!({})
        };
        (200, json!({ "result": result }).to_string())
    }

    #[tokio::test]
    async fn a_record_is_set_in_its_zone_and_only_it_is_removed() {
        let tasks = Tasks::default();
        let (api, client, seen) = api(&tasks).await;
        let dir = Scratch::new();
        let token = dir.path().join("token");
        std::fs::write(&token, "secret\n").unwrap();
        let cloudflare = Cloudflare { client, token, api };
        let record = Record::of_challenge("relay.example.com", "value".into());
        cloudflare.present(&record).await.unwrap();
        cloudflare.cleanup(&record).await.unwrap();
        let of = |start: &str| -> Vec<String> {
            let seen = seen.lock().unwrap();
            let found = seen.iter().filter(|request| request.starts_with(start));
            found.cloned().collect()
        };
        let set = of("POST ");
        assert!(set[0].starts_with("POST /v4/zones/z1/dns_records HTTP/1.1"));
        let body: Value = serde_json::from_str(set[0].split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["name"], "_acme-challenge.relay.example.com");
        assert_eq!(body["content"], "\"value\"");
        let removed = of("DELETE ");
        assert_eq!(removed.len(), 1);
        assert!(removed[0].starts_with("DELETE /v4/zones/z1/dns_records/r2 "));

        let elsewhere = Record::of_challenge("example.org", "value".into());
        let error = cloudflare.present(&elsewhere).await.unwrap_err();
        assert!(matches!(error, DnsError::NoZone(_)));
        std::fs::write(&cloudflare.token, "wrong").unwrap();
        let error = cloudflare.present(&record).await.unwrap_err();
        assert!(
            error.to_string().contains("403 Forbidden: bad token"),
            "{error}"
        );
        tasks.abort();
    }
}
