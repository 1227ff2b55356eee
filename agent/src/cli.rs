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
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Check whether a tunnel with the same options would work, and say what to mend
    Doctor,
    /// Write a completion script for a shell to stdout
    Completions {
        /// The shell.
        shell: Shell,
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

    /// The relay, at port 443 unless given; `local` runs one in this process, on loopback only
    #[arg(long, value_name = "HOST[:PORT]|local", global = true, help_heading = RELAY)]
    #[arg(value_hint = ValueHint::Hostname)]
    pub relay: Option<String>,
    /// Ask for this name [default: one derived from this machine's identity, always the same]
    #[arg(long, value_name = "NAME", global = true, help_heading = RELAY)]
    pub subdomain: Option<String>,
    /// Ask for a domain of your own
    #[arg(long, value_name = "HOST", global = true, help_heading = RELAY)]
    pub hostname: Option<String>,
    /// The token, for all to see in the process list: prefer --token-file or ADIT_TOKEN
    #[arg(long, value_name = "T", global = true, help_heading = RELAY)]
    pub token: Option<String>,
    /// A file with the token
    #[arg(long, value_name = "FILE", global = true, help_heading = RELAY)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub token_file: Option<String>,
    /// Trust the relay with this key, as the relay prints it
    #[arg(long, value_name = "sha256:HEX", global = true, help_heading = RELAY)]
    pub pin: Option<String>,
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", global = true, help_heading = RELAY)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub relay_ca: Option<String>,
    /// Exit with 69 when the relay cannot be reached, instead of waiting for it
    #[arg(long, global = true, help_heading = RELAY)]
    pub once: bool,

    /// Where to show requests in a browser [default: 127.0.0.1:4040, or the next free port]
    #[arg(long, value_name = "ADDR|off", global = true, help_heading = SHOW)]
    pub inspect: Option<String>,
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
const RELAY: &str = "Through which relay";
const SHOW: &str = "What to show";
const RUN: &str = "How to run";

const EXAMPLES: &str = "\
Examples:
  agent --echo --relay local                        try it: no server and no app needed
  agent --port 3000 --relay relay.example.com       expose http://localhost:3000
  agent --port 3000 --relay relay.example.com --subdomain shop --token-file ~/.adit-token
  agent --origin https://localhost:8443 --origin-insecure --host-header rewrite --relay …
  agent doctor --port 3000 --relay relay.example.com

Environment:
  Each option can be set as ADIT_ and its name: ADIT_RELAY, ADIT_TOKEN, ADIT_TOKEN_FILE, …
  The command line wins over the environment, which wins over --config FILE. Empty is unset.

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
            assert!(matches!(args.command, Some(Command::Doctor)));
        }
    }

    #[test]
    fn a_token_on_the_command_line_is_not_shown_by_debug() {
        let args = Args::try_parse_from(["agent", "--token", "canary"]).unwrap();
        assert!(!format!("{args:?}").contains("canary"));
    }
}
