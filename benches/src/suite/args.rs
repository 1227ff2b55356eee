//! The command line of `bench`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::cases;
use super::role::{FloodKind, Role};

/// Measures relay and agent beside other ways to do the same: the origin alone, a proxy of one hop, bare
/// QUIC streams, and other tunnels that are installed. Needs Linux, and `relay`, `agent` and `loadtest`
/// beside itself.
#[derive(Debug, Parser)]
#[command(name = "bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// How often each case is measured; what is shown is the middle
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=99))]
    pub rounds: usize,
    /// One round
    #[arg(long)]
    pub quick: bool,
    /// Only this case; may be given more than once
    #[arg(long, value_name = "CASE")]
    pub only: Vec<String>,
    /// List the cases
    #[arg(long)]
    pub list: bool,
    /// The program rathole, to measure it too [default: that in PATH]
    #[arg(long, value_name = "FILE")]
    pub rathole: Option<PathBuf>,
    /// Where frps and frpc are, to measure them too [default: a directory in PATH]
    #[arg(long, value_name = "DIR")]
    pub frp: Option<PathBuf>,
    /// Where to write everything as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench/bench.json")]
    pub out: PathBuf,
    /// Renew tables and plots of benchmarks.md in this directory
    #[arg(long, value_name = "DIR")]
    pub docs: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures what becomes of requests when the network between agent and relay fails
    Flaky {
        /// Only this part; may be given more than once
        #[arg(long, value_name = "PART")]
        only: Vec<String>,
    },
    /// Measures what becomes of everybody else's requests while somebody floods the relay
    Floods {
        /// Only this kind; may be given more than once
        #[arg(long, value_name = "KIND")]
        only: Vec<FloodKind>,
        /// How long each lasts
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
    },
    /// A process of the suite
    #[command(hide = true)]
    Role {
        #[command(subcommand)]
        role: Role,
    },
}

impl Args {
    /// What to run, in the usual order.
    pub(crate) fn cases(&self) -> anyhow::Result<Vec<&'static str>> {
        let known = |name: &String| cases::ALL.iter().any(|(case, _)| case == name);
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            anyhow::bail!("there is no case {name}; --list shows them");
        }
        let wanted = |name: &str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        let names = cases::ALL.iter().map(|(name, _)| *name);
        Ok(names.filter(|name| wanted(name)).collect())
    }

    /// The program rathole.
    pub(crate) fn rathole_file(&self) -> Option<PathBuf> {
        let in_path = || Some(in_path("rathole")?.join("rathole"));
        self.rathole.clone().or_else(in_path)
    }

    /// The directory of frps and frpc.
    pub(crate) fn frp_directory(&self) -> Option<PathBuf> {
        self.frp.clone().or_else(|| in_path("frps"))
    }
}

/// The directory of PATH that has this program.
fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let args = Args::try_parse_from(["bench", "--only", "bulk", "--only", "requests"]).unwrap();
        assert_eq!(args.cases().unwrap(), ["requests", "bulk"]);
        let args = Args::try_parse_from(["bench", "--only", "nothing"]).unwrap();
        assert!(args.cases().is_err());
    }
}
