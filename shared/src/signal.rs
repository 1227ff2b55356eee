//! Something that is said once, and heard by everybody.
//!
//! It is asked at every turn of every task, so that asking takes no lock: whoever waits is entered once,
//! and struck off when it stops waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// A signal. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    given: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    /// Who waits, each at its own place.
    waiting: Vec<Option<Waker>>,
    /// Places that nobody has.
    free: Vec<usize>,
    children: Vec<Weak<Shared>>,
}

impl Signal {
    /// A signal that is given with this one, and may be given alone.
    pub(crate) fn child(&self) -> Self {
        let child = Self::default();
        let mut listeners = self.0.listeners();
        if self.is_given() {
            child.0.given.store(true, Ordering::Release);
        } else {
            listeners.children.retain(|one| one.strong_count() > 0);
            listeners.children.push(Arc::downgrade(&child.0));
        }
        child
    }

    /// Gives it.
    pub(crate) fn give(&self) {
        let listeners = {
            let mut listeners = self.0.listeners();
            self.0.given.store(true, Ordering::Release);
            std::mem::take(&mut *listeners)
        };
        listeners
            .waiting
            .into_iter()
            .flatten()
            .for_each(Waker::wake);
        for child in listeners.children.iter().filter_map(Weak::upgrade) {
            Self(child).give();
        }
    }

    /// Whether it was given.
    pub(crate) fn is_given(&self) -> bool {
        self.0.given.load(Ordering::Acquire)
    }

    /// Ends when it is given. Safe to drop.
    pub(crate) fn given(&self) -> Given {
        Given {
            signal: self.clone(),
            entry: None,
        }
    }
}

impl Shared {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        // Each change is whole, so what another thread left behind is good.
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a signal.
#[derive(Debug)]
pub(crate) struct Given {
    signal: Signal,
    /// Where this is entered, and for whom.
    entry: Option<(usize, Waker)>,
}

impl Future for Given {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.signal.is_given() {
            return Poll::Ready(());
        }
        let waker = cx.waker();
        if let Some((_, entered)) = &this.entry
            && entered.will_wake(waker)
        {
            return Poll::Pending;
        }
        let mut listeners = this.signal.0.listeners();
        if this.signal.is_given() {
            return Poll::Ready(());
        }
        let place = match this.entry.take() {
            Some((place, _)) => place,
            None => listeners.free.pop().unwrap_or_else(|| {
                listeners.waiting.push(None);
                listeners.waiting.len() - 1
            }),
        };
        let before = listeners.waiting[place].replace(waker.clone());
        // What a waker leads to may wait for this signal too.
        drop(listeners);
        drop(before);
        this.entry = Some((place, waker.clone()));
        Poll::Pending
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let Some((place, _)) = self.entry.take() else {
            return;
        };
        let mut listeners = self.signal.0.listeners();
        // Once it was given, there are no places any more.
        if let Some(entered) = listeners.waiting.get_mut(place) {
            let before = entered.take();
            listeners.free.push(place);
            drop(listeners);
            drop(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use futures_util::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (count.clone(), count.into())
    }

    fn poll(given: &mut Given, waker: &Waker) -> bool {
        let mut cx = Context::from_waker(waker);
        Pin::new(given).poll(&mut cx).is_ready()
    }

    #[test]
    fn everybody_who_waits_is_woken_once_and_nobody_else() {
        let signal = Signal::default();
        let (count, waker) = counter();
        let mut waiting = [signal.given(), signal.given(), signal.given()];
        for _ in 0..3 {
            assert!(waiting.iter_mut().all(|one| !poll(one, &waker)));
        }
        drop(std::mem::replace(&mut waiting[1], signal.given()));
        signal.give();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert!(waiting.iter_mut().all(|one| poll(one, &waker)));
        assert!(poll(&mut signal.given(), &waker));
        drop(waiting);
        signal.give();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn who_waits_elsewhere_is_woken_there() {
        let signal = Signal::default();
        let ((before, first), (after, second)) = (counter(), counter());
        let mut given = signal.given();
        assert!(!poll(&mut given, &first) && !poll(&mut given, &second));
        signal.give();
        assert_eq!(before.0.load(Ordering::Relaxed), 0);
        assert_eq!(after.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn places_are_used_again() {
        let signal = Signal::default();
        let (_, waker) = counter();
        for _ in 0..10 {
            let mut two = [signal.given(), signal.given()];
            assert!(two.iter_mut().all(|one| !poll(one, &waker)));
        }
        assert_eq!(signal.0.listeners().waiting.len(), 2);
    }

    #[test]
    fn a_child_is_given_alone_and_with_its_parent() {
        let signal = Signal::default();
        let (one, other) = (signal.child(), signal.child());
        one.give();
        assert!(one.is_given() && !signal.is_given() && !other.is_given());
        let (count, waker) = counter();
        let mut given = other.given();
        assert!(!poll(&mut given, &waker));
        signal.give();
        assert!(other.is_given() && signal.child().is_given());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn children_that_are_gone_take_no_memory() {
        let signal = Signal::default();
        for _ in 0..10 {
            drop(signal.child());
        }
        assert!(signal.0.listeners().children.len() <= 1);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_whoever_is_first() {
        for _ in 0..200 {
            let signal = Signal::default();
            let all = join_all((0..4).map(|_| signal.given()));
            let given = std::thread::spawn({
                let signal = signal.clone();
                move || signal.give()
            });
            all.await;
            given.join().unwrap();
        }
    }
}
