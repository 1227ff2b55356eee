//! Servers with TLS, and one that speaks HTTP/3.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use adit_shared::quic::tls;
use adit_shared::task::Tasks;
use bytes::{Buf as _, Bytes};
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::Span;

/// A server on a free port of loopback for the name `app.localhost`; gone when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Its certificate, to be trusted.
    pub(crate) ca: PathBuf,
    tasks: Tasks,
}

impl Server {
    /// Speaks HTTP/1.1 and HTTP/2 over TLS, and says `hello`.
    pub(crate) async fn tls(name: &str) -> Self {
        let (config, ca) = certified(name, &[b"h2", b"http/1.1"]);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let serving = tasks.clone();
        tasks.spawn(Span::none(), async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                serving.spawn(Span::none(), async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let hello = service_fn(|_| async {
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(
                            "hello",
                        ))))
                    });
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let served = server.serve_connection(TokioIo::new(stream), hello).await;
                    drop(served);
                });
            }
        });
        Self { address, ca, tasks }
    }

    /// Speaks HTTP/3, and says how many bytes it was sent.
    pub(crate) fn http3(name: &str) -> Self {
        let (config, ca) = certified(name, &[b"h3"]);
        let crypto = QuicServerConfig::try_from(config).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = endpoint.local_addr().unwrap();
        let tasks = Tasks::default();
        let serving = tasks.clone();
        tasks.spawn(Span::none(), async move {
            while let Some(incoming) = endpoint.accept().await {
                let requests = serving.clone();
                serving.spawn(Span::none(), async move {
                    let Ok(connection) = incoming.await else {
                        return;
                    };
                    let quic = h3_quinn::Connection::new(connection);
                    let mut http = h3::server::Connection::<_, Bytes>::new(quic).await.unwrap();
                    while let Ok(Some(resolver)) = http.accept().await {
                        requests.spawn(Span::none(), async move {
                            let (request, mut stream) = resolver.resolve_request().await.unwrap();
                            let mut came = 0;
                            while let Ok(Some(data)) = stream.recv_data().await {
                                came += data.remaining();
                            }
                            let length = match request.uri().path() {
                                "/short" => 100,
                                _ => came.to_string().len(),
                            };
                            let response = Response::builder()
                                .header("content-length", length)
                                .body(())
                                .unwrap();
                            stream.send_response(response).await.unwrap();
                            stream.send_data(came.to_string().into()).await.unwrap();
                            stream.finish().await.unwrap();
                        });
                    }
                });
            }
        });
        Self { address, ca, tasks }
    }

    /// How to reach it, and trust it.
    pub(crate) fn options(&self) -> String {
        format!(
            "https://app.localhost:{} --ca {}",
            self.address.port(),
            self.ca.display()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.abort();
        // It lies in a directory for such.
        drop(std::fs::remove_file(&self.ca));
    }
}

fn certified(name: &str, alpn: &[&[u8]]) -> (rustls::ServerConfig, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["app.localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let file = format!("loadtest-{}-{name}.pem", std::process::id());
    let ca = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file);
    std::fs::write(&ca, made.cert.pem()).unwrap();
    (config, ca)
}
