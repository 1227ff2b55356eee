//! Other programs, started by the suite and ended with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::usage;

/// A program that runs. Killed when dropped, and by the system when the suite is gone.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    errors: PathBuf,
}

impl Program {
    /// Starts `program` with `arguments`. What it writes to stderr goes to a file in `scratch`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["role", "exec", "--"]).arg(program);
        Self::spawn(name, command, arguments, scratch)
    }

    /// Starts this program in one of its roles.
    pub(crate) fn role(name: &str, arguments: &[&str], scratch: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("role");
        Self::spawn(name, command, arguments, scratch)
    }

    fn spawn(
        name: &str,
        mut command: Command,
        arguments: &[&str],
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        // What somebody has set for a relay or an agent of theirs is not for ours.
        for (key, _) in std::env::vars_os() {
            if key.as_encoded_bytes().starts_with(b"ADIT_") {
                command.env_remove(key);
            }
        }
        let errors = scratch.join(format!("{name}.stderr"));
        command
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().append(true).create(true).open(&errors)?)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = stdout.context("a program without stdout")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
            errors,
        })
    }

    /// Its next line on stdout.
    pub(crate) async fn line(&mut self) -> anyhow::Result<String> {
        match timeout(PATIENCE, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(_) => {
                let status = timeout(PATIENCE, self.child.wait()).await;
                let status = match status {
                    Ok(status) => status?.to_string(),
                    Err(_) => "it closed its stdout".into(),
                };
                bail!("{} ended ({status}): {}", self.name, self.errors())
            }
            Err(_) => bail!("{} says nothing: {}", self.name, self.errors()),
        }
    }

    /// Its next line, which is JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.line().await?;
        serde_json::from_str(&line).with_context(|| format!("{} said: {line}", self.name))
    }

    /// Tells a role something, and waits for its answer.
    pub(crate) async fn ask(&mut self, order: &Value) -> anyhow::Result<Value> {
        let stdin = self.stdin.as_mut().context("a program without stdin")?;
        stdin.write_all(format!("{order}\n").as_bytes()).await?;
        let answer: Value = self.json().await?;
        match answer.get("error") {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(answer),
        }
    }

    /// All that it writes to stdout until its end, which must be a good one.
    pub(crate) async fn output(mut self, patience: Duration) -> anyhow::Result<String> {
        drop(self.stdin.take());
        let mut output = String::new();
        let end = async {
            while let Some(line) = self.lines.next_line().await? {
                output.push_str(&line);
                output.push('\n');
            }
            self.child.wait().await
        };
        match timeout(patience, end).await {
            Ok(status) if status.as_ref().is_ok_and(|status| status.success()) => Ok(output),
            Ok(status) => bail!("{} failed ({}): {}", self.name, status?, self.errors()),
            Err(_) => bail!("{} did not end in {patience:?}", self.name),
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            kill_process(pid, Signal::TERM)?;
        }
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }

    /// Ends it at once, without a word to anybody (SIGKILL).
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Leaves the processor to others whenever they want it.
    pub(crate) fn yield_to_others(&self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.pid() as i32);
        rustix::process::setpriority_process(pid, 19)?;
        Ok(())
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let usage = usage::usage(self.pid());
        let usage = usage.with_context(|| format!("{} is gone: {}", self.name, self.errors()))?;
        Ok(Usage {
            cpu_s: usage.cpu.as_secs_f64(),
            rss: usage.rss,
        })
    }

    /// The last that it wrote to stderr.
    fn errors(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(LAST_LINES).collect();
        let last: Vec<_> = lines.into_iter().rev().collect();
        if last.is_empty() {
            "it wrote nothing to stderr".into()
        } else {
            last.join(" | ")
        }
    }
}

/// What processes have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time in seconds, of all threads, those that ended too.
    pub cpu_s: f64,
    /// Resident memory in bytes, now.
    pub rss: u64,
}

impl Usage {
    /// The sum over several processes.
    pub(crate) fn sum<'a>(programs: impl IntoIterator<Item = &'a Program>) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for program in programs {
            let usage = program.usage()?;
            sum.cpu_s += usage.cpu_s;
            sum.rss += usage.rss;
        }
        Ok(sum)
    }
}

/// How long a program may take to say something.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of what it wrote to stderr is shown.
const LAST_LINES: usize = 3;
