//! Who is calling: before anything else is done for a request.

use std::sync::Arc;

use audit_event::TenantId;
use audit_event::control::Scope;
use audit_event::credential::Caller;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use identity::{Answer, Identity, IdentityError};
use kafka_io::control::ControlFollower;
use service_kit::{Problem, Readiness, RequestContext, clock};
use thiserror::Error;

use crate::starting::{self, CONTROL};

/// The tenant of an authenticated caller; in a request's extensions for the handlers.
#[derive(Debug, Clone)]
pub struct Tenant(pub TenantId);

/// Lets readers in.
pub struct Gate {
    control: ControlFollower,
    identity: Identity,
    readiness: Readiness,
}

#[derive(Debug, PartialEq, Eq, Error)]
pub enum GateFault {
    #[error("the credentials have not been read yet; try again")]
    NotYet,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "the caller's role may not read; use a key or token with the role reader, auditor, admin or operator"
    )]
    Role,
}

impl From<GateFault> for Problem {
    fn from(fault: GateFault) -> Self {
        let detail = fault.to_string();
        match fault {
            GateFault::NotYet => Self::unavailable(detail),
            GateFault::Identity(error) => match error.answer() {
                Answer::Unauthorized { retry_after_s: None } => Self::unauthorized(detail),
                Answer::Unauthorized { retry_after_s: Some(wait_s) } => {
                    Self::unauthorized(detail).retry_after_s(wait_s)
                }
                Answer::Forbidden => Self::forbidden(detail),
                Answer::Unavailable => Self::unavailable(detail),
            },
            GateFault::Role => Self::forbidden(detail),
        }
    }
}

impl Gate {
    pub fn new(control: ControlFollower, identity: Identity, readiness: Readiness) -> Self {
        Self { control, identity, readiness }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<Tenant, GateFault> {
        // before the control topic is read every key would look unknown
        if !starting::is_ready(&self.readiness, CONTROL) {
            return Err(GateFault::NotYet);
        }
        tenant_of_reader(self.identity.caller(headers, &self.control.state(), clock::now())?)
    }
}

fn tenant_of_reader(caller: Caller) -> Result<Tenant, GateFault> {
    if caller.may(Scope::Read) { Ok(Tenant(caller.tenant_id)) } else { Err(GateFault::Role) }
}

/// The layer over every route that shows events.
pub async fn require_reader(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    match gate.admit(request.headers()) {
        Ok(tenant) => {
            RequestContext::log_tenant(&tenant.0);
            request.extensions_mut().insert(tenant);
            next.run(request).await
        }
        Err(fault) => Problem::from(fault).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_event::control::Role;
    use audit_event::credential::CredentialError;
    use identity::TokenError;

    #[test]
    fn only_readers_come_in() {
        let with = |role| {
            let tenant_id = "demo".parse().expect("a tenant");
            tenant_of_reader(Caller::new(tenant_id, role, "k1".to_owned())).map(|t| t.0.to_string())
        };
        for role in [Role::Reader, Role::Auditor, Role::Admin, Role::Operator] {
            assert_eq!(with(role), Ok("demo".to_owned()));
        }
        assert_eq!(with(Role::Producer), Err(GateFault::Role));
    }

    #[test]
    fn faults_have_their_status() {
        let status = |fault: GateFault| Problem::from(fault).status;
        assert_eq!(status(GateFault::NotYet), 503);
        assert_eq!(status(IdentityError::from(CredentialError::Missing).into()), 401);
        assert_eq!(status(IdentityError::NotAnOperator.into()), 403);
        assert_eq!(status(IdentityError::from(TokenError::NotRead).into()), 503);
        let of_a_new_key = Problem::from(GateFault::from(IdentityError::from(TokenError::UnknownKey)));
        assert_eq!(of_a_new_key.status, 401);
        assert!(of_a_new_key.retry_after_s.is_some(), "it may be good in a moment");
        assert_eq!(status(GateFault::Role), 403);
    }
}
