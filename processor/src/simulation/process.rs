//! A process that can be stopped, woken and killed between any two things that others could see.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    /// SIGSTOP: time goes on, the process does not.
    Paused,
    /// kill -9: nothing it was about to do happens.
    Dead,
}

/// One incarnation of a processor, or a server through all of its own. (tokio's `watch` wakes in an order of chance, and
/// a seed would not be a run.)
pub struct Process {
    life: Mutex<Life>,
    changed: Notify,
}

impl Process {
    pub fn start() -> Self {
        Self { life: Mutex::new(Life::Running), changed: Notify::new() }
    }

    pub fn life(&self) -> Life {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A dead one stays dead.
    pub fn set(&self, life: Life) {
        if self.life() != Life::Dead {
            self.put(life);
        }
    }

    /// A server that was killed is started again.
    pub fn restart(&self) {
        self.put(Life::Running);
    }

    fn put(&self, life: Life) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = life;
        self.changed.notify_waiters();
    }

    pub async fn until(&self, holds: impl Fn(Life) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if holds(self.life()) {
                return;
            }
            changed.await;
        }
    }

    /// The gate before and after every call that leaves the process: a paused one waits here, a dead one for ever.
    pub async fn pass(&self) {
        self.until(|life| life == Life::Running).await;
    }
}
