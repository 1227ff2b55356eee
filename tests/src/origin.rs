//! Origins: scripted byte by byte, or a real HTTP server.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adit_shared::task::Tasks;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tracing::Span;

/// A server on a free port of loopback; gone when dropped.
#[derive(Debug)]
pub struct Origin {
    /// Where it is.
    pub address: SocketAddr,
    /// How many connections it has accepted.
    pub connections: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Origin {
    /// Runs `script` on each connection.
    pub async fn scripted<F>(script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, script)
    }

    fn on<F>(listener: TcpListener, script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let (tasks, connections) = (Tasks::default(), Arc::new(AtomicUsize::new(0)));
        let (accepting, count) = (tasks.clone(), connections.clone());
        tasks.spawn(Span::none(), async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                stream.set_nodelay(true).unwrap();
                accepting.spawn(Span::none(), script(stream));
            }
        });
        Self {
            address,
            connections,
            tasks,
        }
    }

    /// Reads one request head on each connection, writes `answer` and closes.
    pub async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::scripted(move |mut stream| {
            let answer = answer.clone();
            async move {
                read_head(&mut stream).await;
                drop(stream.write_all(&answer).await);
                drop(stream.shutdown().await);
            }
        })
        .await
    }

    /// Serves HTTP/1.1 and cleartext HTTP/2 with `handle`.
    pub async fn serving<F, B>(
        handle: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::scripted(move |stream| {
            let handle = handle.clone();
            async move {
                let service = service_fn(move |request| {
                    let response = handle(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                drop(
                    server
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await,
                );
            }
        })
        .await
    }

    /// An address of loopback where nobody listens.
    pub async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// Reads up to the empty line; says what it read, and may have read more.
pub async fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, b"\r\n\r\n").await
}

/// Reads until `end` was read; says what it read, and may have read more.
pub async fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !bytes.windows(end.len()).any(|window| window == end) {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(len) => bytes.extend_from_slice(&piece[..len]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
