//! Processor time and memory of processes, from `/proc`.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::machine::{kibibytes, value};
use crate::result::{Process, Sample};

/// A process to watch, as typed: `NAME=PID`.
#[derive(Clone, Debug)]
pub struct Watched {
    process: Process,
    first: Option<Duration>,
    last: Option<(Duration, Duration)>,
}

impl FromStr for Watched {
    type Err = BadWatch;

    fn from_str(text: &str) -> Result<Self, BadWatch> {
        let (name, pid) = text.split_once('=').ok_or(BadWatch::Form)?;
        let pid = pid.trim().parse().map_err(|_| BadWatch::Form)?;
        // It must be there, and readable, when the test begins.
        usage(pid).ok_or(BadWatch::Gone(pid))?;
        Ok(Self {
            process: Process {
                name: name.to_owned(),
                pid,
                cpu_s: 0.0,
                rss_before: 0,
                rss_after: 0,
                rss_most: 0,
                samples: Vec::new(),
            },
            first: None,
            last: None,
        })
    }
}

impl Watched {
    /// Looks at it, `passed` after measuring began; the first look is where it starts from. A
    /// process that has gone keeps what was last seen.
    pub(crate) fn look(&mut self, passed: Duration) {
        let Some(usage) = usage(self.process.pid) else {
            return;
        };
        let process = &mut self.process;
        process.rss_after = usage.rss;
        process.rss_most = process.rss_most.max(usage.rss);
        let first = *self.first.get_or_insert_with(|| {
            process.rss_before = usage.rss;
            usage.cpu
        });
        process.cpu_s = usage.cpu.saturating_sub(first).as_secs_f64();
        let Some((at, cpu)) = self.last else {
            self.last = Some((passed, usage.cpu));
            return;
        };
        let time = passed.saturating_sub(at);
        // The kernel counts in hundredths of a second: a share of less than a second is noise.
        if time < SAMPLE {
            return;
        }
        process.samples.push(Sample {
            at_s: passed.as_secs_f64(),
            cpu: usage.cpu.saturating_sub(cpu).as_secs_f64() / time.as_secs_f64(),
            rss: usage.rss,
        });
        self.last = Some((passed, usage.cpu));
    }

    /// What was seen.
    pub(crate) fn close(self) -> Process {
        self.process
    }
}

/// A look at a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time since it started, its own and the kernel's for it.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub rss: u64,
}

/// A look at process `pid`; none if it is gone, or the system has no `/proc`.
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // A process that has ended and was not yet waited for has none.
    let rss = value(&status, "VmRSS").and_then(kibibytes)?;
    Some(Usage {
        cpu: Duration::from_millis(ticks * 1000 / TICKS),
        rss,
    })
}

/// Why a process cannot be watched.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadWatch {
    /// It is not written as it should be.
    #[error("--watch is written NAME=PID, such as relay=1234")]
    Form,
    /// There is no such process.
    #[error("--watch: there is no process {0} to look at below /proc")]
    Gone(u32),
}

/// Ticks a second: what Linux tells programs on every machine, whatever it uses itself.
const TICKS: u64 = 100;
/// The least time that a share of a processor is about.
const SAMPLE: Duration = Duration::from_millis(990);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_watched() {
        let pid = std::process::id();
        let mut watched: Watched = format!("me={pid}").parse().unwrap();
        watched.look(Duration::ZERO);
        let busy = std::time::Instant::now();
        while usage(pid).unwrap().cpu < Duration::from_millis(30) {
            assert!(busy.elapsed() < Duration::from_secs(20));
        }
        watched.look(Duration::from_secs(1));
        let seen = watched.close();
        assert_eq!((&*seen.name, seen.pid, seen.samples.len()), ("me", pid, 1));
        assert!(seen.rss_before > 0 && seen.rss_most >= seen.rss_after);
        for bad in ["", "relay", "relay=", "relay=x", "relay=4294967295"] {
            assert!(bad.parse::<Watched>().is_err(), "{bad}");
        }
    }
}
