//! The command line of `loadtest`, as typed. What it means is for [`plan`](crate::plan).

use std::path::PathBuf;
use std::time::Duration;

use adit_shared::quantity::Span;
use clap::{Parser, ValueHint};

use crate::sizes::Sizes;

/// Loads anything that speaks HTTP, and says how long its visitors waited.
///
/// With --rate, requests start when they are due, whether or not those before them were answered
/// (an open loop, as visitors do), and the latency counts from the moment a request was due: a
/// stall is not hidden. Without, each connection sends the next request as soon as the last was
/// answered (a closed loop): that finds the most that a server can do.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXAMPLES)]
pub struct Args {
    /// What to request: http://… or https://…
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: String,

    /// Start this many requests a second in all
    #[arg(long, value_name = "N", conflicts_with = "closed", help_heading = LOAD)]
    pub rate: Option<f64>,
    /// Send the next request as soon as the last was answered (the default)
    #[arg(long, help_heading = LOAD)]
    pub closed: bool,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    #[arg(help_heading = LOAD)]
    pub duration: Duration,
    /// Load that is not counted, before measuring
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    #[arg(help_heading = LOAD)]
    pub warmup: Duration,
    /// End after this many requests, if that is before the end of --duration
    #[arg(long, value_name = "N", help_heading = LOAD)]
    pub requests: Option<u64>,
    /// Connections
    #[arg(long, short, value_name = "N", default_value_t = 10, help_heading = LOAD)]
    pub connections: usize,
    /// Requests at once on each connection; more than one needs HTTP/2 or HTTP/3
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    pub streams: usize,
    /// Open a connection for each request and close it after
    #[arg(long, help_heading = LOAD)]
    pub new_connections: bool,
    /// A request that takes longer has failed
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    #[arg(help_heading = LOAD)]
    pub timeout: Duration,

    /// HTTP/1.1 (the default of http://)
    #[arg(long, group = "protocol", help_heading = REQUEST)]
    pub http1: bool,
    /// HTTP/2: by TLS, or without asking first on http:// (https:// uses it by default if the
    /// server does)
    #[arg(long, group = "protocol", help_heading = REQUEST)]
    pub http2: bool,
    /// HTTP/3, on https:// only
    #[arg(long, group = "protocol", help_heading = REQUEST)]
    pub http3: bool,
    /// Send WebSocket messages and wait for the echo of each, which must be the same
    #[arg(long, group = "protocol", group = "work", help_heading = REQUEST)]
    pub websocket: bool,
    /// Read server-sent events: counts events, and the time from one to the next
    #[arg(long, group = "work", conflicts_with_all = ["rate", "new_connections"])]
    #[arg(help_heading = REQUEST)]
    pub events: bool,
    /// Send large bodies, 1 MiB each unless --body says otherwise; shows bytes a second
    #[arg(long, group = "work", help_heading = REQUEST)]
    pub upload: bool,
    /// Read large bodies; shows bytes a second
    #[arg(long, group = "work", help_heading = REQUEST)]
    pub download: bool,
    /// The method [default: GET, or POST with a body]
    #[arg(long, value_name = "METHOD", help_heading = REQUEST)]
    pub method: Option<String>,
    /// A header field for each request; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", help_heading = REQUEST)]
    pub headers: Vec<String>,
    /// Size of request bodies or messages: `16KiB`; `1KiB..64KiB`, each size as likely as another;
    /// `lognormal:8KiB`, half of them smaller and some much larger; `exponential:8KiB`, its mean
    #[arg(long, value_name = "SIZES", group = "content", help_heading = REQUEST)]
    pub body: Option<Sizes>,
    /// A file to send as the body or message
    #[arg(long, value_name = "FILE", group = "content", help_heading = REQUEST)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub body_file: Option<PathBuf>,

    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", help_heading = PLACE, conflicts_with = "insecure")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,
    /// Accept any certificate; on loopback only
    #[arg(long, help_heading = PLACE)]
    pub insecure: bool,
    /// Connect there instead of where the URL says; Host and TLS name stay those of the URL
    #[arg(long, value_name = "HOST:PORT", help_heading = PLACE)]
    #[arg(value_hint = ValueHint::Hostname)]
    pub connect: Option<String>,

    /// Show processor time and memory of a process of this machine; may be given more than once
    #[arg(long, value_name = "NAME=PID", help_heading = SHOW)]
    pub watch: Vec<String>,
    /// Write everything that was measured to this file, as JSON; `-` is stdout
    #[arg(long, value_name = "FILE", help_heading = SHOW, value_hint = ValueHint::FilePath)]
    pub result: Option<PathBuf>,
    /// Write a report with plots to this file, as one HTML page
    #[arg(long, value_name = "FILE", help_heading = SHOW, value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Say what changed since this earlier --result, and whether noise explains it
    #[arg(long, value_name = "FILE", help_heading = SHOW, value_hint = ValueHint::FilePath)]
    pub compare: Option<PathBuf>,
    /// Write the JSON of --result to stdout, and nothing else
    #[arg(long, help_heading = SHOW)]
    pub json: bool,
    /// Show no progress and no table
    #[arg(long, short, help_heading = SHOW)]
    pub quiet: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let Span(duration) = text.parse().map_err(|bad| format!("{bad}"))?;
    Ok(duration)
}

const LOAD: &str = "How much load";
const REQUEST: &str = "What each request is";
const PLACE: &str = "Where, and whom to trust";
const SHOW: &str = "What to show";

const EXAMPLES: &str = "\
Examples:
  loadtest https://app.relay.example.com --rate 2000 --duration 30s --connections 64
      how long visitors wait while 2,000 requests a second come in
  loadtest https://app.relay.example.com --closed --connections 64
      how many requests a second there can be at most
  loadtest https://app.relay.example.com --http2 --connections 8 --streams 8
  loadtest https://app.relay.example.com/upload --body lognormal:8KiB --rate 500
  loadtest https://app.relay.example.com/big.iso --download --connections 8
  loadtest https://app.relay.example.com/echo --websocket --connections 64
  loadtest https://app.relay.example.com --new-connections
      how many new visitors a second there can be, TLS handshake included
  loadtest https://app.localhost:8443 --ca ~/.local/state/adit/relay/ca.pem \\
      --watch relay=$(pgrep -x relay) --watch agent=$(pgrep -x agent)
  loadtest … --result new.json --compare old.json --report report.html

A failed request is counted by what failed, and never ends the test: connect, tls, timeout, reset,
protocol, status-503 and its like, body (shorter than declared, or an echo that differs), or
adit:CODE when the relay of a tunnel answered in place of the origin. `unsent` counts requests that
were due and could not start before the end, because all connections were busy.

Names under localhost are loopback. Ctrl-C ends the test early and still reports.
Exit codes: 0 at least one request succeeded, 1 none did, 64 bad usage.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for line in [
            "loadtest",
            "loadtest http://a --rate 1 --closed",
            "loadtest http://a --http1 --http2",
            "loadtest http://a --websocket --http2",
            "loadtest http://a --upload --download",
            "loadtest http://a --events --rate 1",
            "loadtest http://a --body 1KiB --body-file f",
            "loadtest http://a --body 1KB",
            "loadtest http://a --duration 10",
        ] {
            let words = line.split(' ');
            assert!(Args::try_parse_from(words).is_err(), "{line}");
        }
    }
}
