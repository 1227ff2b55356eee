//! What is counted.

use crate::{codec, tunnel};

/// Something whose instructions are counted.
#[derive(Debug)]
pub(crate) struct Case {
    /// What it is called in the baseline and on the command line.
    pub(crate) name: &'static str,
    /// What the figure is for.
    pub(crate) unit: &'static str,
    /// How often its work does that.
    pub(crate) times: u64,
    /// By how much the figure may be above the baseline, in percent.
    pub(crate) tolerance: f64,
    /// Prepares, then does what is counted within [`crate::count::counted`].
    pub(crate) work: fn(),
}

/// All of them. Codecs count the same on every run; what goes through sockets depends a little on
/// when timers fire and how packets fill.
pub(crate) const CASES: [Case; 9] = [
    codec("request-head-encode", "per head", codec::request_encode),
    codec("request-head-decode", "per head", codec::request_decode),
    codec("response-head-encode", "per head", codec::response_encode),
    codec("response-head-decode", "per head", codec::response_decode),
    codec("frames-64-kib", "per stream", codec::frames),
    exchange("exchange-1-kib", tunnel::one_visitor),
    exchange("exchange-1-kib-16-visitors", tunnel::many_visitors),
    bulk("download", tunnel::download),
    bulk("upload", tunnel::upload),
];

const fn codec(name: &'static str, unit: &'static str, work: fn()) -> Case {
    Case {
        name,
        unit,
        times: codec::TIMES,
        tolerance: 3.0,
        work,
    }
}

const fn exchange(name: &'static str, work: fn()) -> Case {
    Case {
        name,
        unit: "per exchange",
        times: tunnel::EXCHANGES,
        tolerance: 5.0,
        work,
    }
}

const fn bulk(name: &'static str, work: fn()) -> Case {
    Case {
        name,
        unit: "per MiB",
        times: tunnel::MIB,
        tolerance: 5.0,
        work,
    }
}
