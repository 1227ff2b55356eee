//! What can be done about requests that are kept.

use adit_shared::name::Host;
use clap::{Subcommand, ValueEnum};

use super::Place;

/// Something to do about requests that are kept. A relay that runs takes it over within a second.
#[derive(Debug, Subcommand)]
pub enum Inbox {
    /// List the inboxes, or the requests in one
    List {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// Whose requests to list
        host: Option<Host>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print a request, with its body
    Show {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// The id, as its sender was told
        id: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Try requests once more that are dead or set aside: one, or all of a host
    Redeliver {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// For which host
        host: Host,
        /// Only this one
        id: Option<String>,
    },
    /// Forget requests
    Purge {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// For which host
        host: Host,
        /// Only those in this state
        #[arg(long)]
        state: Option<InboxState>,
    },
    /// Deliver nothing until `resume`; what comes is kept
    Pause {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// For which host
        host: Host,
    },
    /// Deliver again
    Resume {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// For which host
        host: Host,
    },
    /// Forget an inbox with all that is in it: its name is free then
    Remove {
        /// Where a relay is configured and keeps its state.
        #[command(flatten)]
        place: Place,
        /// For which host
        host: Host,
    },
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum InboxState {
    /// It will be delivered
    Waiting,
    /// It failed, and will be tried again
    Aside,
    /// It was tried too often
    Dead,
}
