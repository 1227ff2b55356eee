//! The command line, as typed. What it means is decided in [`crate::config`].

use std::fmt;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;

/// Gives a program on this machine a public HTTPS URL.
#[derive(Clone, Debug, Parser)]
#[command(name = "agent", version, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, next_line_help = true)]
pub struct Args {
    /// What to expose and how.
    #[command(flatten)]
    pub options: Options,
    /// What to do instead of that.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of opening tunnels.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check whether a tunnel with the same options would work, and say what to mend
    Doctor {
        /// Find out how long NATs on the way remember a silent connection too; takes 45 s
        #[arg(long)]
        nat: bool,
    },
    /// List the providers of webhooks that are known, or send a signed sample
    Webhook {
        /// Which of that.
        #[command(subcommand)]
        what: Webhook,
    },
    /// Show requests that the inspector of a running agent keeps, or send them again; --inspect says where it
    /// is
    Requests {
        /// Which of that.
        #[command(subcommand)]
        what: Requests,
    },
    /// Send the requests of a HAR file to the origin of a running agent, or with --to to any server; exits with 1
    /// unless all answers are as they should be
    Replay {
        /// The file, as the inspector exports it.
        #[arg(value_hint = ValueHint::FilePath)]
        file: String,
        /// Send them to this server, with its Host; no agent needs to run
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        /// What the answers should be.
        #[command(flatten)]
        again: Again,
    },
    /// Write a completion script for a shell to stdout
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What to do with requests that are kept.
#[derive(Clone, Debug, Subcommand)]
pub enum Requests {
    /// List them, the oldest first
    List {
        /// Only those, as in `status:5xx path:/hooks`
        #[arg(long, default_value = "")]
        filter: String,
        /// The last so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Show all of one, with its bodies
    Show {
        /// Its number.
        id: u64,
    },
    /// Send one again; a webhook whose secret the agent has is signed anew. Exits with 1 unless the answer is
    /// as it should be
    Replay {
        /// Its number.
        id: u64,
        /// How often, one after the other
        #[arg(long, value_name = "N", default_value_t = 1)]
        times: u32,
        /// What the answer should be.
        #[command(flatten)]
        again: Again,
    },
    /// Write them to stdout as a HAR file, with secrets in heads masked
    Export {
        /// Only those
        #[arg(long, default_value = "")]
        filter: String,
        /// With secrets
        #[arg(long)]
        secrets: bool,
    },
}

/// What the answer to a replay should be.
#[derive(Clone, Debug, clap::Args)]
pub struct Again {
    /// This status, as in 200 or 2xx [default: any]
    #[arg(long, value_name = "STATUS")]
    pub assert_status: Option<String>,
    /// The same status and body as before; shows what differs
    #[arg(long)]
    pub diff: bool,
}

/// What to do about webhooks.
#[derive(Clone, Debug, Subcommand)]
pub enum Webhook {
    /// List the providers of webhooks that are known, and of which events there are samples
    List,
    /// Send a signed event, and show what came back; exits with 1 unless that was a success. Signs with the
    /// secret that --verify would use: any will do that the receiver knows too
    Send {
        /// The provider, such as github.
        provider: String,
        /// The type of the event, such as push.
        event: String,
        /// Where to [default: the origin of --port or --origin]
        #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
        to: Option<String>,
        /// Send this file instead of a sample
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        body: Option<String>,
    },
}

/// The options, as text: an option means the same on the command line, in the environment and in a
/// file, so all three are read by the same code.
#[derive(Clone, Default, clap::Args)]
pub struct Options {
    /// Expose http://localhost:N
    #[arg(long, value_name = "N", global = true, help_heading = EXPOSE)]
    pub port: Option<String>,
    /// Expose an origin elsewhere: http://HOST:PORT, https://…, h2c://… or unix:PATH
    #[arg(long, value_name = "URL", global = true, help_heading = EXPOSE)]
    pub origin: Option<String>,
    /// Accept any certificate of an https:// origin, such as a self-signed one
    #[arg(long, global = true, help_heading = EXPOSE)]
    pub origin_insecure: bool,
    /// Expose a built-in origin that shows and echoes what it receives
    #[arg(long, global = true, help_heading = EXPOSE)]
    pub echo: bool,
    /// How long the origin may take to begin its answer [default: 120s]
    #[arg(long, value_name = "DURATION", global = true, help_heading = EXPOSE)]
    pub origin_timeout: Option<String>,
    /// The Host that the origin sees: `rewrite` for its own, or a value [default: the public one]
    #[arg(long, value_name = "rewrite|VALUE", global = true, help_heading = EXPOSE)]
    pub host_header: Option<String>,

    /// Get copies of what another agent serves as --subdomain or --hostname, which answers as if this one were
    /// not there: for those of the same token, each at a machine of its own. For paths like these, in which `*`
    /// stands for any text [default without a value: all]
    #[arg(long, value_name = "PATTERN,…", global = true, help_heading = EXPOSE)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    pub mirror: Option<String>,

    /// Let the relay keep requests that cannot be served now, and deliver them later: webhooks that come while
    /// this agent or the origin is away. For paths like these, in which `*` stands for any text
    /// [default without a value: all]
    #[arg(long, value_name = "PATTERN,…", global = true, help_heading = INBOX)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    pub inbox: Option<String>,
    /// When requests are kept, beside when this agent is away: `refused`, `reset`, `timeout`, `5xx`, or
    /// `none` [default: refused,reset,timeout]
    #[arg(long, value_name = "CAUSE,…", global = true, help_heading = INBOX)]
    pub inbox_on: Option<String>,
    /// The status with which a request is answered that is kept [default: 202]
    #[arg(long, value_name = "STATUS", global = true, help_heading = INBOX)]
    pub inbox_status: Option<String>,
    /// How many kept requests are delivered at once; above 1 their order is loose [default: 1]
    #[arg(long, value_name = "N", global = true, help_heading = INBOX)]
    pub inbox_parallel: Option<String>,
    /// Keep and answer a request after this long though the origin still works on it, as at a breakpoint
    #[arg(long, value_name = "DURATION", global = true, help_heading = INBOX)]
    pub ack_within: Option<String>,

    /// Let through only webhooks that this provider signed, or tag them: github, stripe=tag,
    /// slack:/hooks/slack, … (`agent webhook list` shows all). The secret is in ADIT_WEBHOOK_SECRET,
    /// ADIT_WEBHOOK_SECRET_GITHUB, … or in a file. May be given several times
    #[arg(long, value_name = "PROVIDER[=enforce|tag][:/PATH]", global = true, help_heading = HOOKS)]
    pub verify: Vec<String>,
    /// A file with the secrets of webhooks: a secret a line, or PROVIDER SECRET; several of one
    /// provider are all valid
    #[arg(long, value_name = "FILE", global = true, help_heading = HOOKS)]
    #[arg(value_hint = ValueHint::FilePath, alias = "secret-file")]
    pub webhook_secret_file: Option<String>,
    /// Sign what the relay has kept in the inbox anew before the origin gets it, so that its age is none
    /// to the origin's own check: what a rule of --verify found genuine, with the same secret
    #[arg(long, global = true, help_heading = HOOKS)]
    pub webhook_sign_anew: bool,
    /// Confirm the subscription when --verify sns finds that a topic of Amazon SNS wants to send here
    #[arg(long, global = true, help_heading = HOOKS)]
    pub webhook_confirm: bool,
    /// How old a signature may be [default: what its provider says, 5m for most]
    #[arg(long, value_name = "DURATION", global = true, help_heading = HOOKS)]
    pub webhook_tolerance: Option<String>,
    /// An event that came before: tell the origin, or drop it and give the first answer again
    /// [default: mark]
    #[arg(long, value_name = "mark|drop|off", global = true, help_heading = HOOKS)]
    pub webhook_duplicates: Option<String>,
    /// How long events are remembered for that [default: 24h]
    #[arg(long, value_name = "DURATION", global = true, help_heading = HOOKS)]
    pub webhook_window: Option<String>,
    /// When the agent itself answers a provider of --verify that checks the endpoint: while the
    /// origin is down, always, or never [default: down]
    #[arg(long, value_name = "down|always|off", global = true, help_heading = HOOKS)]
    pub webhook_challenges: Option<String>,
    /// The largest body that is verified [default: 1MiB]
    #[arg(long, value_name = "SIZE", global = true, help_heading = HOOKS)]
    pub webhook_limit: Option<String>,

    /// Fail on purpose, to try out handlers: duplicate=5%, delay=3s, reorder, drop-response=2%, offline=60s, and
    /// seed=N to have the same again
    #[arg(long, value_name = "KNOB,…", global = true, help_heading = HOOKS)]
    pub simulate: Option<String>,

    /// The relay, at port 443 unless given; `local` runs one in this process, on loopback only. Given
    /// several times, the agent serves through all of them, so that each can be restarted or fail
    #[arg(long, value_name = "HOST[:PORT]|local", global = true, help_heading = RELAY)]
    #[arg(value_hint = ValueHint::Hostname)]
    pub relay: Vec<String>,
    /// Ask for this name [default: one derived from this machine's identity, always the same]
    #[arg(long, value_name = "NAME", global = true, help_heading = RELAY)]
    pub subdomain: Option<String>,
    /// Ask for a domain of your own
    #[arg(long, value_name = "HOST", global = true, help_heading = RELAY)]
    pub hostname: Option<String>,
    /// The token, for all to see in the process list: prefer --token-file or ADIT_TOKEN. With several
    /// relays: one for all, or one for each in their order
    #[arg(long, value_name = "T", global = true, help_heading = RELAY)]
    pub token: Vec<String>,
    /// A file with the token, or with one for each relay
    #[arg(long, value_name = "FILE", global = true, help_heading = RELAY)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub token_file: Option<String>,
    /// Trust the relay with this key, as the relay prints it. With several relays: one for all, or one
    /// for each in their order
    #[arg(long, value_name = "sha256:HEX", global = true, help_heading = RELAY)]
    pub pin: Vec<String>,
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", global = true, help_heading = RELAY)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub relay_ca: Option<String>,
    /// In what QUIC travels: `udp`, `tcp` (TLS, for networks that block UDP), or what gets through
    /// [default: auto]
    #[arg(long, value_name = "auto|udp|tcp", global = true, help_heading = RELAY)]
    pub transport: Option<String>,
    /// How uploads to the relay find their rate: `bbr` keeps it where packets are lost for other
    /// reasons than congestion [default: bbr]
    #[arg(long, value_name = "bbr|cubic", global = true, help_heading = RELAY)]
    pub congestion: Option<String>,
    /// How much of one upload may be under way from the relay, or wait for an origin that reads slowly:
    /// more for a long fat path, less to save memory [default: 1MiB from a relay on this machine, else 6MiB]
    #[arg(long, value_name = "SIZE", global = true, help_heading = RELAY)]
    pub window: Option<String>,
    /// Exit with 69 when no relay can be reached, instead of waiting; of several relays, those that
    /// cannot be reached at the start are left out
    #[arg(long, global = true, help_heading = RELAY)]
    pub once: bool,

    /// Where to show requests in a browser [default: 127.0.0.1:4040, or the next free port]
    #[arg(long, value_name = "ADDR|off", global = true, help_heading = SHOW)]
    pub inspect: Option<String>,
    /// How many requests are kept to be shown there [default: 1000]
    #[arg(long, value_name = "N", global = true, help_heading = SHOW)]
    pub inspect_requests: Option<String>,
    /// How much memory they may take; the oldest make room [default: 64MiB]
    #[arg(long, value_name = "SIZE", global = true, help_heading = SHOW)]
    pub inspect_memory: Option<String>,
    /// How much of each body is kept [default: 1MiB]
    #[arg(long, value_name = "SIZE", global = true, help_heading = SHOW)]
    pub inspect_body: Option<String>,
    /// How many requests a second are kept once there are as many as --inspect-requests at once; of
    /// a flood the others are only counted [default: 100]
    #[arg(long, value_name = "N", global = true, help_heading = SHOW)]
    pub inspect_rate: Option<String>,
    /// Keep them across restarts too, secrets and all: in this file, or with `on` in the state directory
    #[arg(long, value_name = "FILE|on", global = true, help_heading = SHOW)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub inspect_store: Option<String>,
    /// Write events to stdout as JSON, one object a line
    #[arg(long, global = true, help_heading = SHOW)]
    pub json: bool,
    /// Show the URL as a QR code too
    #[arg(long, global = true, help_heading = SHOW)]
    pub qr: bool,
    /// How log lines on stderr are written; ADIT_LOG=debug shows more of them [default: text]
    #[arg(long, value_name = "text|json", global = true, help_heading = SHOW)]
    pub log_format: Option<String>,

    /// Read options and several tunnels from a TOML file; no file is read unless named here
    #[arg(long, value_name = "FILE", global = true, help_heading = RUN)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub config: Option<String>,
    /// Where the identity is kept [default: adit/agent in the platform's state directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = RUN)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub state_dir: Option<String>,
    /// How long requests in flight may take to finish after the first Ctrl-C [default: 10s]
    #[arg(long, value_name = "DURATION", global = true, help_heading = RUN)]
    pub drain_grace: Option<String>,
}

impl fmt::Debug for Options {
    /// Without values: one of them is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

const EXPOSE: &str = "What to expose (one of --port, --origin and --echo)";
const INBOX: &str = "What to keep while nobody can serve it";
const HOOKS: &str = "Webhooks";
const RELAY: &str = "Through which relay";
const SHOW: &str = "What to show";
const RUN: &str = "How to run";

const EXAMPLES: &str = "\
Examples:
  agent --echo --relay local                        try it: no server and no app needed
  agent --port 3000 --relay relay.example.com       expose http://localhost:3000
  agent --port 3000 --relay relay.example.com --subdomain shop --token-file ~/.adit-token
  agent --port 3000 --relay a.example.com --relay b.example.com --subdomain shop
  agent --origin https://localhost:8443 --origin-insecure --host-header rewrite --relay …
  agent --port 3000 --relay … --verify github --webhook-secret-file ~/.github-secret
  agent doctor --port 3000 --relay relay.example.com
  agent webhook send github push --to http://localhost:3000/hooks --webhook-secret-file …

Environment:
  Each option can be set as ADIT_ and its name: ADIT_RELAY, ADIT_TOKEN, ADIT_TOKEN_FILE, …
  The command line wins over the environment, which wins over --config FILE. Empty is unset.
  Several relays, pins or tokens stand in one variable with commas between them.
  HTTPS_PROXY, ALL_PROXY and NO_PROXY are heeded where TCP is used because UDP is blocked.

The URL is written to stdout, alone on its line; everything else goes to stderr.
Exit codes: 0 stopped as asked, 64 bad usage, 69 relay unreachable (with --once), 77 refused,
78 bad configuration.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_command() {
        for line in [
            ["agent", "--port", "1", "doctor"],
            ["agent", "doctor", "--port", "1"],
        ] {
            let args = Args::try_parse_from(line).unwrap();
            assert_eq!(args.options.port.as_deref(), Some("1"));
            assert!(matches!(args.command, Some(Command::Doctor { nat: false })));
        }
    }

    #[test]
    fn a_token_on_the_command_line_is_not_shown_by_debug() {
        let args = Args::try_parse_from(["agent", "--token", "canary"]).unwrap();
        assert!(!format!("{args:?}").contains("canary"));
    }
}
