//! Which congestion control connections have.

mod bbr;
mod bursts;
mod delivery;
mod kind;
mod model;
mod round;

use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};

pub use self::kind::{BadCongestion, Congestion};

use super::gate::Gate;

/// The congestion control that `usual` makes, for one connection with this `gate`.
pub(super) fn factory(
    usual: Arc<dyn ControllerFactory + Send + Sync>,
    gate: &Gate,
) -> Arc<dyn ControllerFactory + Send + Sync> {
    Arc::new(Factory {
        usual,
        gate: gate.clone(),
    })
}

struct Factory {
    usual: Arc<dyn ControllerFactory + Send + Sync>,
    gate: Gate,
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        self.gate.around(self.usual.clone(), now, current_mtu)
    }
}
