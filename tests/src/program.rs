//! The built programs, and others that drive them: started as a user would, ended when dropped.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adit_shared::task::Tasks;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tracing::Span;

use crate::world::Scratch;

/// How long a program may take that starts a browser.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    errors: Arc<Mutex<String>>,
    tasks: Tasks,
}

impl Program {
    /// Starts `command`, whose lines on stdout can be waited for.
    pub fn start(mut command: Command) -> Self {
        let name = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
        let tasks = Tasks::default();
        let (sender, lines) = mpsc::unbounded_channel();
        let errors = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        tasks.spawn(
            Span::none(),
            each_line(out, move |line| drop(sender.send(line))),
        );
        let kept = errors.clone();
        tasks.spawn(
            Span::none(),
            each_line(err, move |line| {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }),
        );
        Self {
            name,
            child,
            lines,
            errors,
            tasks,
        }
    }

    /// The next line on stdout from which `pick` makes something.
    pub async fn line<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let find = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(found) = pick(&line) {
                    return Some(found);
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, find).await {
            Ok(Some(found)) => found,
            ended => panic!(
                "{} {}: {what}\n{}",
                self.name,
                if ended.is_ok() {
                    "ended before"
                } else {
                    "did not say in time"
                },
                self.errors()
            ),
        }
    }

    /// The first line on stderr from which `pick` makes something.
    pub async fn error<T>(&self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let find = async {
            loop {
                if let Some(found) = self.errors().lines().find_map(&pick) {
                    return found;
                }
                ticks.tick().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await;
        found.unwrap_or_else(|_| panic!("{}: {what}\n{}", self.name, self.errors()))
    }

    /// What it has written to stderr.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends it a signal by name, such as `TERM`.
    pub async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .await
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end; says its exit code, or `None` when a signal ended it.
    pub async fn ended(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status =
            status.unwrap_or_else(|_| panic!("{} did not end\n{}", self.name, self.errors()));
        // What it wrote last may still be on its way.
        drop(tokio::time::timeout(PATIENCE, self.tasks.ended()).await);
        status.unwrap().code()
    }

    /// What is left on stdout, after its end.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.lines.recv().await {
            rest.push(line);
        }
        rest
    }

    /// Its resident memory in KiB, as Linux tells.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

async fn each_line(from: impl AsyncRead + Unpin, each: impl Fn(String)) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        each(line);
    }
}

/// Runs `command` to its end; panics with all that it wrote unless it succeeds.
pub async fn run(mut command: Command) -> String {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let name = format!("{:?}", command.as_std());
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("did not end: {name}"))
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{out}\n{err}",
        output.status
    );
    out
}

/// One of our own programs, built before the tests.
pub fn ours(name: &str) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(name);
    assert!(
        path.exists(),
        "{} is not built: run the tests with `make test`",
        path.display()
    );
    let mut command = Command::new(path);
    command.env("NO_COLOR", "1");
    command
}

/// The repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The built `relay` on free ports of loopback, with state of its own.
#[derive(Debug)]
pub struct BuiltRelay {
    /// The program.
    pub program: Program,
    /// What its ready line said.
    pub ready: serde_json::Value,
    /// Its state directory.
    pub state: Scratch,
}

impl BuiltRelay {
    /// Starts it with further arguments, and waits until it is ready.
    pub async fn start(more: &[&str]) -> Self {
        let any = "127.0.0.1:0".to_owned();
        Self::on(Scratch::new(), [any.clone(), any.clone(), any], more).await
    }

    /// Ends the program by `signal`, and starts it again on the state and the ports for visitors and agents
    /// that it had.
    pub async fn again(mut self, signal: &str, more: &[&str]) -> Self {
        let places = ["http", "https", "quic"].map(|name| self.address(name).to_string());
        self.program.signal(signal).await;
        self.program.ended().await;
        Self::on(self.state, places, more).await
    }

    async fn on(state: Scratch, [http, https, quic]: [String; 3], more: &[&str]) -> Self {
        let mut command = ours("relay");
        command
            .args([
                "--json",
                "--http",
                &http,
                "--https",
                &https,
                "--quic",
                &quic,
                "--admin",
                "127.0.0.1:0",
            ])
            .arg("--state-dir")
            .arg(state.path())
            .args(more);
        let mut program = Program::start(command);
        let ready = program
            .line("ready", |line| serde_json::from_str(line).ok())
            .await;
        Self {
            program,
            ready,
            state,
        }
    }

    /// One of its addresses, by the name of its flag.
    pub fn address(&self, name: &str) -> std::net::SocketAddr {
        self.ready[name].as_str().unwrap().parse().unwrap()
    }

    /// The file of its development CA.
    pub fn ca(&self) -> PathBuf {
        self.ready["ca"].as_str().unwrap().into()
    }

    /// An agent for it, not yet started, with these arguments.
    pub fn agent(&self, args: &[&str]) -> Command {
        self.agent_of("agent", args)
    }

    /// An agent with the identity called `identity`, not yet started, with these arguments.
    pub fn agent_of(&self, identity: &str, args: &[&str]) -> Command {
        let mut command = ours("agent");
        command
            .args([
                "--relay",
                &format!("localhost:{}", self.address("quic").port()),
            ])
            .arg("--relay-ca")
            .arg(self.ca())
            .arg("--state-dir")
            .arg(self.state.path().join(identity));
        if !args.contains(&"--inspect") {
            command.args(["--inspect", "off"]);
        }
        command.args(args);
        command
    }
}
