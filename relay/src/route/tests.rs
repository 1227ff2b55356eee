//! What must hold between the state of a route and who waits for it.

use super::*;

/// The host looked free before it was, so that a claim of another shard could be made, and was lost.
#[test]
fn a_host_is_not_free_for_others_before_it_is_unserved() {
    let session = SessionId::next();
    let owner = Owner {
        identity: [7; 32].into(),
        token: None,
    };
    let route = Arc::new(Route::new("app.localhost".parse().unwrap(), owner));
    route.state().served_by = Some(session);
    let claim = Claim {
        route: route.clone(),
        session,
        returned: false,
    };
    // Who reads keeps the other from being done.
    let reading = route.serving.borrow();
    std::thread::scope(|threads| {
        threads.spawn(|| drop(claim));
        let mut busy = 0;
        while busy < 1000 {
            let state = route.state.try_lock();
            assert!(
                state
                    .as_ref()
                    .map_or(true, |state| state.served_by.is_some()),
                "it looks free"
            );
            busy = if state.is_err() { busy + 1 } else { 0 };
            drop(state);
            std::thread::yield_now();
        }
        drop(reading);
    });
    assert_eq!(route.state().served_by, None);
}
