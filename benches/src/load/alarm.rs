//! A timer of microseconds: the runtime's own counts milliseconds, and what it adds to each wait
//! would be taken for latency.

use std::time::Instant;

pub(super) use self::precise::Alarm;

#[cfg(target_os = "linux")]
mod precise {
    use std::os::fd::OwnedFd;

    use rustix::io::read;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::Instant;

    /// A timer of the kernel.
    #[derive(Debug)]
    pub(crate) struct Alarm {
        /// None when the system gives none: then the runtime's timer must do.
        timer: Option<AsyncFd<OwnedFd>>,
    }

    impl Alarm {
        #[allow(
            deprecated,
            reason = "its fault is that a type may change its descriptor; OwnedFd does not, and \
                      what replaces it is unsafe"
        )]
        pub(crate) fn new() -> Self {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok();
            let timer = timer.and_then(|timer| AsyncFd::new(timer).ok());
            Self { timer }
        }

        /// Ends at `moment`. Safe to drop.
        pub(crate) async fn at(&mut self, moment: Instant) {
            if self.ring(moment).await.is_none() {
                tokio::time::sleep_until(moment.into()).await;
            }
        }

        async fn ring(&mut self, moment: Instant) -> Option<()> {
            let timer = self.timer.as_mut()?;
            let left = moment.saturating_duration_since(Instant::now());
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec {
                    tv_sec: i64::try_from(left.as_secs()).ok()?,
                    // Zero would disarm it.
                    tv_nsec: i64::from(left.subsec_nanos().max(1)),
                },
            };
            timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &once).ok()?;
            let mut count = [0; 8];
            loop {
                let mut ready = timer.readable().await.ok()?;
                // An earlier setting may have rung: then there is nothing to read.
                let has_rung = read(ready.get_inner(), &mut count).is_ok();
                ready.clear_ready();
                if has_rung {
                    return Some(());
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod precise {
    use super::Instant;

    /// The runtime's timer.
    #[derive(Debug)]
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new() -> Self {
            Self
        }

        /// Ends at `moment`. Safe to drop.
        pub(crate) async fn at(&mut self, moment: Instant) {
            tokio::time::sleep_until(moment.into()).await;
        }
    }
}
