//! Whole exchanges: relay, agent, a bare visitor and a bare origin on one thread.
//!
//! Both ends speak plain HTTP/1.1 and do next to nothing, so that nearly all that is counted is the
//! tunnel's. What is counted begins when all connections are open, their windows have grown and the
//! packet size was found.

use std::net::SocketAddr;
use std::time::Duration;

use adit_tests::World;
use adit_tests::origin::Origin;
use adit_tests::world::Agent;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::count::counted;

/// Exchanges that are counted together.
pub(crate) const EXCHANGES: u64 = 320;
/// Exchanges before that.
const WARM_UP: usize = 160;
/// Size of a body that is counted, in MiB.
pub(crate) const MIB: u64 = 16;

/// One after the other.
pub(crate) fn one_visitor() {
    exchanges(1);
}

/// Sixteen at a time.
pub(crate) fn many_visitors() {
    exchanges(16);
}

fn exchanges(visitors: usize) {
    let mut tunnel = Tunnel::open(visitors);
    let get = get(1 << 10);
    tunnel.visit(&get, WARM_UP);
    tunnel.count(&get, EXCHANGES as usize);
}

/// One large answer.
pub(crate) fn download() {
    bulk(&get((MIB as usize) << 20));
}

/// One large request.
pub(crate) fn upload() {
    bulk(&post((MIB as usize) << 20));
}

/// Small exchanges first: while much is under way the search for the largest packet may lose one of
/// its probes, and end too low.
fn bulk(request: &[u8]) {
    let mut tunnel = Tunnel::open(1);
    tunnel.visit(&get(1 << 10), WARM_UP);
    tunnel.visit(request, 1);
    tunnel.count(request, 1);
}

/// A tunnel with visitors that are connected.
struct Tunnel {
    runtime: Runtime,
    visitors: Vec<TcpStream>,
    /// What the tunnel is made of ends when it is dropped.
    _ends: (World, Agent, Origin),
}

impl Tunnel {
    fn open(visitors: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (ends, visitors) = runtime.block_on(async {
            let origin = Origin::scripted(answer).await;
            let world = World::start().await;
            let agent = world.agent("app", origin.address).await;
            let visitors = join_all((0..visitors).map(|_| dial(world.http))).await;
            ((world, agent, origin), visitors)
        });
        Self {
            runtime,
            visitors,
            _ends: ends,
        }
    }

    /// Makes `times` exchanges, shared out to the visitors.
    fn visit(&mut self, request: &[u8], times: usize) {
        let share = times / self.visitors.len();
        let visits = self.visitors.iter_mut();
        let visits = visits.map(|visitor| visit(visitor, request, share));
        let all = async { timeout(LIMIT, join_all(visits)).await };
        self.runtime.block_on(all).expect("answers in time");
    }

    fn count(mut self, request: &[u8], times: usize) {
        counted(&mut || self.visit(request, times));
    }
}

async fn dial(relay: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(relay).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `request` and reads the answer, again and again.
async fn visit(stream: &mut TcpStream, request: &[u8], times: usize) {
    let mut buffer = vec![0; BUFFER];
    for _ in 0..times {
        let (mut read, mut write) = stream.split();
        let send = async { write.write_all(request).await.unwrap() };
        let ((), answer) = tokio::join!(send, receive(&mut read, &mut buffer));
        assert!(answer.is_some(), "an answer");
    }
}

/// Answers every request of a connection with as many bytes as its target says.
async fn answer(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER];
    let (mut size, mut answer) = (0, with_body(ANSWER, 0));
    while let Some(head) = receive(&mut stream, &mut buffer).await {
        let asked = wanted(&buffer[..head]);
        if asked != size {
            (size, answer) = (asked, with_body(ANSWER, asked));
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Reads one message that has a length, or no body, and says how much of `buffer` its head is;
/// nothing when the connection ended before it.
async fn receive(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut [u8],
) -> Option<usize> {
    let mut filled = 0;
    let head = loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => filled += more,
        }
        let bytes = &buffer[..filled];
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let mut left = length(&buffer[..head]).checked_sub(filled - head)?;
    while left > 0 {
        match stream.read(&mut buffer[head..]).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => left = left.checked_sub(more)?,
        }
    }
    Some(head)
}

/// The declared length of the body; none is 0.
fn length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let field = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    field.map_or(0, |(_, value)| value.trim().parse().unwrap())
}

/// The number that is the target of a request.
fn wanted(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    target.trim_start_matches('/').parse().unwrap()
}

fn get(answer: usize) -> Vec<u8> {
    format!("GET /{answer} HTTP/1.1\r\n{FIELDS}\r\n").into_bytes()
}

fn post(body: usize) -> Vec<u8> {
    with_body(&format!("POST /2 HTTP/1.1\r\n{FIELDS}"), body)
}

fn with_body(head: &str, body: usize) -> Vec<u8> {
    let mut message = format!("{head}content-length: {body}\r\n\r\n").into_bytes();
    message.resize(message.len() + body, b'b');
    message
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const FIELDS: &str = "host: app.localhost\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\n";
/// A tunnel that does not answer must not hang whoever counts.
const LIMIT: Duration = Duration::from_secs(120);
const BUFFER: usize = 64 << 10;
