//! Who may come in: credentials before the body, then room for it.

use std::sync::Arc;

use audit_event::control::{ControlState, Scope};
use audit_event::credential::{Caller, Pepper};
use axum::http::{HeaderMap, header};
use identity::{Answer, Identity, IdentityError};
use kafka_io::control::ControlFollower;
use kafka_io::last_use::LastUse;
use service_kit::{Problem, RequestContext, clock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::too_large;
use crate::body::Coding;
use crate::config::Limits;

const KIB: usize = 1024;

/// The gate before a request's body is read.
pub struct Admission {
    control: ControlFollower,
    pepper: Pepper,
    last_use: LastUse,
    identity: Identity,
    bodies: Arc<Semaphore>,
    limits: Limits,
}

/// Room for what has come of a body; given back when dropped.
pub struct BodyRoom {
    bodies: Arc<Semaphore>,
    held: OwnedSemaphorePermit,
}

impl BodyRoom {
    fn of(bodies: &Arc<Semaphore>) -> Result<Self, Problem> {
        Ok(Self { bodies: bodies.clone(), held: take(bodies, 1)? })
    }

    /// Makes it large enough for so many bytes. A body that is slow holds no more than it has sent.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.div_ceil(KIB).saturating_sub(self.held.num_permits());
        if more > 0 {
            self.held.merge(take(&self.bodies, more)?);
        }
        Ok(())
    }
}

fn take(bodies: &Arc<Semaphore>, kib: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let kib = u32::try_from(kib).unwrap_or(u32::MAX);
    let taken = bodies.clone().try_acquire_many_owned(kib);
    taken.map_err(|_| Problem::unavailable("too many bodies are being read; send again later"))
}

impl Admission {
    pub fn new(
        control: ControlFollower,
        identity: Identity,
        pepper: Pepper,
        last_use: LastUse,
        limits: &Limits,
    ) -> Self {
        Self {
            control,
            pepper,
            last_use,
            identity,
            bodies: Arc::new(Semaphore::new(limits.max_bodies_mib * KIB)),
            limits: limits.clone(),
        }
    }

    /// Tells how many bytes of the room for bodies are free.
    pub fn free_room(&self) -> impl Fn() -> usize + Send + Sync + use<> {
        let bodies = self.bodies.clone();
        move || bodies.available_permits() * KIB
    }

    pub fn state(&self) -> Arc<ControlState> {
        self.control.state()
    }

    pub fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// One who may send events.
    pub fn writer(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = self.authenticate(headers)?;
        if !caller.may(Scope::Write) {
            return Err(Problem::forbidden(
                "the caller may not write; use a key or token with the role producer, admin or operator, and the scope write",
            ));
        }
        if !self.control.state().knows_policy_of(&caller.tenant_id) {
            return Err(Problem::unavailable(
                "this version of the gateway cannot read the tenant's policy; upgrade it, or set the policy again",
            ));
        }
        Ok(caller)
    }

    /// Anybody with a good credential.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if !self.control.is_caught_up() {
            // a 401 now would tell a good caller to give up
            return Err(Problem::unavailable("the gateway is starting; see /readyz"));
        }
        let (state, now) = (self.control.state(), clock::now());
        let caller = self.identity.caller(headers, &state, now).map_err(refused)?;
        RequestContext::log_tenant(&caller.tenant_id);
        if state.api_keys.contains_key(&caller.key_id) {
            self.last_use.saw(&caller.key_id, now);
        }
        Ok(caller)
    }

    /// Refuses a body that is too large by its own word, or for which there is no room.
    pub fn make_room(&self, headers: &HeaderMap, coding: Coding) -> Result<BodyRoom, Problem> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // what a packed one becomes is not known before
        let bytes = announced.filter(|_| coding == Coding::Identity).unwrap_or_default();
        if bytes > self.limits.max_body_bytes {
            return Err(too_large(format!(
                "{bytes} bytes, at most {} are taken",
                self.limits.max_body_bytes
            )));
        }
        BodyRoom::of(&self.bodies)
    }
}

fn refused(error: IdentityError) -> Problem {
    let detail = error.to_string();
    match error.answer() {
        Answer::Unauthorized { retry_after_s: None } => Problem::unauthorized(detail),
        Answer::Unauthorized { retry_after_s: Some(wait_s) } => {
            Problem::unauthorized(detail).retry_after_s(wait_s)
        }
        Answer::Forbidden => Problem::forbidden(detail),
        Answer::Unavailable => Problem::unavailable(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_it_has_sent_and_gives_it_back() {
        let bodies = Arc::new(Semaphore::new(10));
        let (mut one, mut two) = (BodyRoom::of(&bodies).expect("room"), BodyRoom::of(&bodies).expect("room"));
        assert_eq!(bodies.available_permits(), 8);
        one.hold(5 * KIB).expect("room");
        one.hold(3 * KIB).expect("has it already");
        assert_eq!(bodies.available_permits(), 4);
        assert_eq!(two.hold(5 * KIB + 1).expect_err("refused").status, 503);
        two.hold(5 * KIB).expect("room");
        assert!(BodyRoom::of(&bodies).is_err());
        drop(one);
        assert_eq!(bodies.available_permits(), 5);
    }
}
