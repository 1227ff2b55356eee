//! What a request takes of what there is: of what its address may have, of its tunnel's, of the relay's.

use std::sync::Arc;

use super::allowance::Allowance;
use super::{ForwardError, Visitor};
use crate::addresses::Asked;
use crate::route::Route;

/// Held for as long as the request lasts.
#[derive(Debug, Default)]
pub(super) struct Share {
    _asked: Asked,
    all: Option<Arc<Allowance>>,
    route: Option<Arc<Route>>,
}

impl Share {
    /// Of what `visitor` may have, and of `all`.
    pub(super) fn take(visitor: &Visitor, all: &Arc<Allowance>) -> Result<Self, ForwardError> {
        let asked = visitor.asker.ask().map_err(ForwardError::Asks)?;
        if !all.take() {
            return Err(ForwardError::Full);
        }
        Ok(Self {
            _asked: asked,
            all: Some(all.clone()),
            route: None,
        })
    }

    /// Of the `most` that `route` may have too.
    pub(super) fn take_route(
        &mut self,
        route: &Arc<Route>,
        most: usize,
    ) -> Result<(), ForwardError> {
        if !route.begin(most) {
            return Err(ForwardError::Busy);
        }
        self.route = Some(route.clone());
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(route) = &self.route {
            route.end();
        }
        if let Some(all) = &self.all {
            all.give();
        }
    }
}
