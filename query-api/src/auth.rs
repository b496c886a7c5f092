//! Who is calling: before anything else is done for a request.

use std::sync::Arc;

use audit_event::TenantId;
use audit_event::control::Scope;
use audit_event::credential::{Caller, CredentialError, Pepper, authenticate};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
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
    pepper: Pepper,
    readiness: Readiness,
}

#[derive(Debug, PartialEq, Eq, Error)]
pub enum GateFault {
    #[error("the credentials have not been read yet; try again")]
    NotYet,
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("the api key's role may not read; use one with the role reader, auditor or admin")]
    Role,
}

impl From<GateFault> for Problem {
    fn from(fault: GateFault) -> Self {
        let detail = fault.to_string();
        match fault {
            GateFault::NotYet => Self::unavailable(detail),
            GateFault::Credential(_) => Self::unauthorized(detail),
            GateFault::Role => Self::forbidden(detail),
        }
    }
}

impl Gate {
    pub fn new(control: ControlFollower, pepper: Pepper, readiness: Readiness) -> Self {
        Self { control, pepper, readiness }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<Tenant, GateFault> {
        // before the control topic is read every key would look unknown
        if !starting::is_ready(&self.readiness, CONTROL) {
            return Err(GateFault::NotYet);
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let caller = authenticate(&self.control.state(), &self.pepper, authorization, clock::now())?;
        tenant_of_reader(caller)
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

    #[test]
    fn only_readers_come_in() {
        let with = |role| {
            let tenant_id = "demo".parse().expect("a tenant");
            tenant_of_reader(Caller::new(tenant_id, role, "k1".to_owned())).map(|t| t.0.to_string())
        };
        for role in [Role::Reader, Role::Auditor, Role::Admin] {
            assert_eq!(with(role), Ok("demo".to_owned()));
        }
        assert_eq!(with(Role::Producer), Err(GateFault::Role));
    }

    #[test]
    fn faults_have_their_status() {
        let status = |fault: GateFault| Problem::from(fault).status;
        assert_eq!(status(GateFault::NotYet), 503);
        assert_eq!(status(CredentialError::Missing.into()), 401);
        assert_eq!(status(GateFault::Role), 403);
    }
}
