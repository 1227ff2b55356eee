//! The command line, as typed. What it means together with a file is for [`config`](crate::config).
//!
//! Every flag can also be given as an environment variable; one that is empty counts as not given,
//! because that is how a line is left out of an environment file.

mod acme;
mod inbox;
mod limit;
pub mod listen;
mod network;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process;

use adit_shared::name::Host;
use adit_shared::quantity::Span;
use adit_shared::quic::{Congestion, MAX_SHARDS};
use adit_shared::telemetry::LogFormat;
use clap::builder::BoolishValueParser;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

pub use self::acme::{Acme, BadResolver, Resolver};
pub use self::inbox::{Inbox, InboxState};
pub use self::limit::{BadLimit, Limit};
pub use self::listen::Listen;
pub use self::network::{BadNetwork, Network};
use crate::auth::Pattern;

/// The public side of an Adit tunnel: takes visitors' requests and hands them to agents.
///
/// Without --domain it runs in local mode: on loopback only, for the domain `localhost`, and asks
/// no token. Try it: start `relay`, and paste the `agent …` command that it prints into another
/// terminal.
///
/// With --domain it runs in public mode: on ports 80 and 443, and agents need a token, which
/// `relay token create` makes.
///
/// A value given as a flag wins over the environment, the environment over the file of --config,
/// and that over the default.
#[derive(Debug, Default, Parser)]
#[command(
    name = "relay",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 stopped as asked, 1 failed, 64 bad usage, 78 bad config.\n\
                  Log lines go to stderr; ADIT_LOG=debug shows more of them."
)]
pub struct Args {
    /// What to serve and how.
    #[command(flatten)]
    pub serve: Serve,
    /// Something else than serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// Reads command line and environment. Asked for help it prints that and ends the process, and
    /// on a mistake it ends it with code 64.
    pub fn read() -> Self {
        Self::try_from(env::args_os()).unwrap_or_else(|error| {
            let code = if error.use_stderr() { BAD_USAGE } else { 0 };
            // Without a place to print to, the code has to do.
            drop(error.print());
            process::exit(code.into())
        })
    }

    /// Reads these words, the program's name first, and the environment.
    ///
    /// # Errors
    ///
    /// The mistake, or the help that was asked for.
    pub fn try_from<W: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = without_variables(Self::command(), &is_empty);
        let matches = command.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// The exit code for bad usage (`EX_USAGE` of sysexits.h).
pub const BAD_USAGE: u8 = 64;

/// Where a relay is configured and keeps its state: enough for commands that only need the latter.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// Public mode, for names below this domain
    ///
    /// The relay serves `NAME.DOMAIN`; DNS must lead DOMAIN and `*.DOMAIN` to this machine.
    #[arg(long, value_name = "DOMAIN", env = "ADIT_DOMAIN")]
    pub domain: Option<Host>,
    /// Where database, keys and certificates are kept
    ///
    /// Default in local mode: `adit/relay` in your state directory (such as ~/.local/state). In
    /// public mode: /var/lib/adit.
    #[arg(long, value_name = "DIR", env = "ADIT_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Read further settings from this TOML file
    ///
    /// Its keys are the names of the flags, as in `domain = "relay.example.com"`; and there are
    /// `reserve` and the tables `[limits]`, `[inbox]` and `[[webhook]]`. No file is read unless it is named here.
    #[arg(long, value_name = "FILE", env = "ADIT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Everything that a serving relay can be told.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// Where a relay is configured and keeps its state.
    #[command(flatten)]
    pub place: Place,
    /// Listen for HTTP here [default: 127.0.0.1:8080, public :80]
    ///
    /// `off` for not at all; PORT or :PORT for all interfaces; port 0 for a free one, which the
    /// ready line tells. In public mode it redirects to HTTPS.
    #[arg(long, value_name = "ADDR", env = "ADIT_HTTP")]
    pub http: Option<Listen>,
    /// Listen for HTTPS here [default: 127.0.0.1:8443, public :443]
    #[arg(long, value_name = "ADDR", env = "ADIT_HTTPS")]
    pub https: Option<Listen>,
    /// Listen for agents (UDP) here [default: 127.0.0.1:8443, public :443]
    #[arg(long, value_name = "ADDR", env = "ADIT_QUIC")]
    pub quic: Option<Listen>,
    /// Serve health, metrics and the API here [default: 127.0.0.1:9090]
    ///
    /// Keep this address private: whoever reaches it sees every tunnel.
    #[arg(long, value_name = "ADDR", env = "ADIT_ADMIN")]
    pub admin: Option<Listen>,
    /// Show the certificate in this PEM file, with its chain
    ///
    /// It should be valid for DOMAIN and *.DOMAIN. Without it the relay in public mode gets its
    /// certificates from Let's Encrypt; in local mode it makes its own development CA, which
    /// browsers do not trust.
    #[arg(long, value_name = "FILE", env = "ADIT_CERT")]
    pub cert: Option<PathBuf>,
    /// The private key of --cert, PEM
    #[arg(long, value_name = "FILE", env = "ADIT_KEY")]
    pub key: Option<PathBuf>,
    /// How certificates are ordered.
    #[command(flatten)]
    pub acme: Acme,
    /// Let agents in without a token [default: true in local mode]
    ///
    /// With `--open=false` a relay in local mode asks for tokens too. In public mode the flag is
    /// refused, with what it would mean.
    #[arg(
        long,
        value_name = "BOOL",
        env = "ADIT_OPEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub open: Option<bool>,
    /// How long a request waits for an agent that is away [default: 10s]
    ///
    /// An agent that lost its connection is usually back within seconds; until then requests for
    /// its names are held. 0 answers 503 at once.
    #[arg(long, value_name = "DURATION", env = "ADIT_HOLD")]
    pub hold: Option<Span>,
    /// Keep webhooks for agents that are away and ask for it [default: true]
    ///
    /// With `--inbox=false` such agents are told that nothing is kept. How much may be kept is said in
    /// the table `[inbox]` of the file.
    #[arg(
        long,
        value_name = "BOOL",
        env = "ADIT_INBOX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub inbox: Option<bool>,
    /// How long requests may take to finish after SIGTERM [default: 30s]
    #[arg(long, value_name = "DURATION", env = "ADIT_DRAIN_GRACE")]
    pub drain_grace: Option<Span>,
    /// How what is sent to agents finds its rate [default: bbr]
    ///
    /// `bbr` looks at how fast packets arrive, and so keeps its rate where some are lost for other
    /// reasons than congestion; `cubic` looks at what is lost.
    #[arg(long, value_name = "bbr|cubic", env = "ADIT_CONGESTION")]
    pub congestion: Option<Congestion>,
    /// Spread the work over this many threads, at most 64 [default: 1, public one per processor]
    ///
    /// Each is a shard with sockets of its own. Needs Linux when it is more than one.
    #[arg(
        long,
        value_name = "N",
        env = "ADIT_SHARDS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_SHARDS)),
    )]
    pub shards: Option<u16>,
    /// Believe X-Forwarded-* and Forwarded of visitors from this network
    ///
    /// For a load balancer or CDN in front of the relay. May be given several times; in the
    /// environment, separated by commas.
    #[arg(
        long,
        value_name = "CIDR",
        env = "ADIT_TRUSTED_PROXY",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<Network>,
    /// Expect the PROXY protocol (version 1 or 2) of connections from this network
    ///
    /// For a load balancer that passes TCP connections on: it says first from where each comes, and
    /// that address is the visitor's in all that the relay does. A connection from such a network
    /// that begins otherwise is closed. May be given several times, or separated by commas.
    #[arg(
        long,
        value_name = "CIDR",
        env = "ADIT_PROXY_PROTOCOL",
        value_delimiter = ','
    )]
    pub proxy_protocol: Vec<Network>,
    /// Show browsers a notice before the first page of a tunnel
    ///
    /// A page that says what they are about to see, once a week for each name, so that strangers'
    /// login forms are not taken for somebody else's. Only navigations over HTTPS see it: no program,
    /// WebSocket or webhook does, and the header Adit-Skip-Notice skips it.
    #[arg(
        long,
        value_name = "BOOL",
        env = "ADIT_NOTICE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub notice: Option<bool>,
    /// Bound something, as in `--limit connections-per-address=100`
    ///
    /// Keys and values are those of the table `[limits]` of a file for --config; docs/limits.md tells
    /// what each is for. May be given several times; in the environment, separated by commas. The keys:
    /// visitors, connections-per-address, connects-per-address,
    /// exchanges-per-address, requests-per-address, exchanges, exchanges-per-agent,
    /// exchanges-per-tunnel, streams-per-connection, request-bytes, head-bytes, head-fields,
    /// handshake-timeout, head-timeout, idle-timeout, upload-timeout, download-timeout, least-rate,
    /// agents, agents-handshaking, handshakes-per-address, handshakes-unvalidated, hello-timeout,
    /// carriers, tunnels-per-agent, messages-per-agent, held, held-per-name, held-bytes, stalled,
    /// stalled-per-agent, window.
    #[arg(
        long,
        value_name = "KEY=VALUE",
        env = "ADIT_LIMIT",
        value_delimiter = ','
    )]
    pub limit: Vec<Limit>,
    /// How to write log lines [default: text; json in public mode without a terminal]
    #[arg(long, value_name = "FORMAT", env = "ADIT_LOG_FORMAT")]
    pub log_format: Option<Format>,
    /// Write what goes to stdout as JSON, for scripts
    #[arg(long, env = "ADIT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// How to write log lines.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

/// Something else than serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, list and revoke the tokens that allow agents to connect
    #[command(subcommand)]
    Token(Token),
    /// List and revoke the certificates that an authority issued to the relay
    #[command(subcommand)]
    Certificate(Certificate),
    /// Look at the requests that are kept for agents that are away, and decide what becomes of them
    #[command(subcommand)]
    Inbox(Inbox),
    /// Check whether a relay with these settings would run well here
    ///
    /// Takes all flags of the relay itself, and changes nothing. Exit code 1 when a check fails.
    Doctor(Box<Serve>),
    /// Print a completion script, as in `source <(relay completions bash)`
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Something to do about tokens. A relay that runs takes it over within a second.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it; it cannot be shown again
    Create {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// Allow names like this only: `app`, `app-*`, `*.customer.com` (may be given several times)
        ///
        /// A `*` stands for any text within one label. A pattern with a dot is about an agent's own
        /// domains, one without about names under the relay's domain; `**` allows both.
        #[arg(long = "name", value_name = "PATTERN", default_value = "*")]
        names: Vec<Pattern>,
        /// What to call it in lists, such as the person or machine it is for
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        label: String,
    },
    /// List all tokens, without their secrets
    List {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a token worthless and end the sessions of agents that use it
    Revoke {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// The token's id, or its label if no other has it
        #[arg(value_name = "ID")]
        token: String,
    },
}

/// Something to do about certificates that an authority issued.
#[derive(Debug, Subcommand)]
pub enum Certificate {
    /// List them, and the orders that failed
    List {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Have its authority revoke a certificate; a relay that runs orders another within seconds
    ///
    /// For a key that others may have seen. To order anew is all that is needed otherwise.
    Revoke {
        /// What the relay itself was started with.
        #[command(flatten)]
        serve: Box<Serve>,
        /// The name in the list, such as app.example.com or *.relay.example.com
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Forgets the variables of `command` and its subcommands that `is_empty` says are empty.
fn without_variables(command: clap::Command, is_empty: &dyn Fn(&OsStr) -> bool) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(None::<&str>),
            _ => arg,
        })
        .mut_subcommands(|command| without_variables(command, is_empty))
}

#[cfg(test)]
mod tests;
