//! The catalogue of event types, and the types that a tenant declares for itself. A declared type gives its events their
//! operation and severity where the producer is silent, and is not flagged as unknown.

use std::sync::Arc;

use audit_event::control::{EventTypeRecord, Role, Scope, VALUE_VERSION};
use audit_event::credential::Caller;
use audit_event::{Operation, Severity, event_type};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use schemas::catalogue::{self, Category, EventType};
use serde::{Deserialize, Serialize};
use service_kit::Problem;
use utoipa::ToSchema;

use crate::answer::{invalid_event_type, not_json};
use crate::api::Gateway;
use crate::body::{self, Coding};
use crate::event_schema::{OperationSymbol, SeveritySymbol};
use crate::rates::Load;

/// Types that one tenant may declare.
const MAX_OWN_TYPES: usize = 1_000;
/// The longest description, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1_000;

/// What the caller's tenant may name as `event_type` without a flag.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypes {
    /// By name.
    event_types: Vec<KnownType>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct KnownType {
    name: String,
    origin: TypeOrigin,
    /// Of the catalogue's types: user, agent, test, api, system, security, compliance or data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    category: Option<Category>,
    /// What its events do where the producer does not say.
    #[schema(value_type = String)]
    operation: Operation,
    #[schema(value_type = String)]
    severity: Severity,
    description: String,
    /// The class uid of the Open Cybersecurity Schema Framework.
    #[serde(skip_serializing_if = "Option::is_none")]
    ocsf_class: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ocsf_name: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TypeOrigin {
    /// The same for every tenant.
    Catalogue,
    /// Declared by the caller's tenant.
    Tenant,
}

/// A type as a tenant declares it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// What its events do where the producer does not say: create, read, update, delete, execute, access or other.
    #[serde(default)]
    #[schema(inline, value_type = Option<OperationSymbol>)]
    operation: Option<String>,
    /// debug, info, notice, warning, error or critical.
    #[serde(default)]
    #[schema(inline, value_type = Option<SeveritySymbol>)]
    severity: Option<String>,
    /// A sentence for people.
    #[schema(min_length = 1, max_length = 1000, example = "A payroll run was started.")]
    description: String,
}

/// Lists the event types that are known: the catalogue, and what the caller's tenant has declared.
#[utoipa::path(
    get,
    path = "/v1/event-types",
    responses(
        (status = 200, description = "All of them, by name", body = EventTypes),
        (status = 401, description = "No valid credential", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The credential is not one for this tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The gateway is starting; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
) -> Result<Json<EventTypes>, Problem> {
    let caller = gateway.admission.authenticate(&headers)?;
    let control = gateway.admission.state();
    let mut event_types: Vec<_> = catalogue::all().map(KnownType::of_catalogue).collect();
    let own = control.event_types.get(&caller.tenant_id).into_iter().flat_map(|types| types.values());
    event_types.extend(own.map(KnownType::of_tenant));
    event_types.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(EventTypes { event_types }))
}

/// Declares a type of the caller's tenant, or declares it anew. Every gateway and processor knows it within a second.
#[utoipa::path(
    put,
    path = "/v1/event-types/{name}",
    params(("name" = String, Path, description = "Parts joined by dots, such as payroll.run", pattern = r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]+)+$", max_length = 200)),
    request_body(content = Declaration, content_type = "application/json"),
    responses(
        (status = 204, description = "Declared"),
        (status = 400, description = "Not a declaration", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid credential", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only the role admin may declare types", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The catalogue has this type, or the tenant has too many", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Packed otherwise than by gzip or zstd", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Over a rate; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not written; send again, see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn declare(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let caller = gateway.admission.authenticate(&headers)?;
    require_admin(&caller)?;
    let coding = Coding::of(&headers)?;
    let mut room = gateway.admission.make_room(&headers, coding)?;
    let body = body::read_body(body, coding, &gateway.limits, &mut room).await?;
    gateway.rates.take(&caller, Load { events: 1, bytes: body.len() })?;
    let _turn = gateway.turns.take(&caller.tenant_id).await?;
    let declaration: Declaration =
        serde_json::from_slice(&body).map_err(|error| not_json(error.to_string()))?;
    let record = declaration.into_record(name, &caller.tenant_id)?;
    let control = gateway.admission.state();
    let own = control.event_types.get(&caller.tenant_id);
    let is_new = !own.is_some_and(|types| types.contains_key(&record.name));
    if is_new && own.is_some_and(|types| types.len() >= MAX_OWN_TYPES) {
        return Err(conflict(format!("a tenant declares at most {MAX_OWN_TYPES} types; withdraw one")));
    }
    write(&gateway, &record, Some(&record)).await
}

/// Withdraws a type of the caller's tenant. Its events stay; new ones are flagged as unknown.
#[utoipa::path(
    delete,
    path = "/v1/event-types/{name}",
    params(("name" = String, Path, description = "The type's name")),
    responses(
        (status = 204, description = "Withdrawn"),
        (status = 401, description = "No valid credential", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only the role admin may withdraw types", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The tenant has declared no such type", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Over a rate; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not written; send again, see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn withdraw(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let caller = gateway.admission.authenticate(&headers)?;
    require_admin(&caller)?;
    gateway.rates.take(&caller, Load { events: 1, bytes: 0 })?;
    let _turn = gateway.turns.take(&caller.tenant_id).await?;
    let control = gateway.admission.state();
    let record = control.own_event_type(&caller.tenant_id, &name);
    let record = record.ok_or_else(|| Problem::not_found("the tenant has declared no such type"))?;
    write(&gateway, record, None).await
}

async fn write(
    gateway: &Gateway,
    of: &EventTypeRecord,
    value: Option<&EventTypeRecord>,
) -> Result<StatusCode, Problem> {
    let key = format!("event-type/{}/{}", of.tenant_id, of.name);
    let written = match value {
        Some(record) => gateway.control_writer.put(&key, record).await,
        None => gateway.control_writer.remove(&key).await,
    };
    written.map_err(|error| {
        tracing::warn!(%error, "an event type is not written");
        Problem::unavailable("the broker did not confirm it in time; send it again")
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn require_admin(caller: &Caller) -> Result<(), Problem> {
    if matches!(caller.role, Role::Admin | Role::Operator) && caller.may(Scope::Write) {
        Ok(())
    } else {
        Err(Problem::forbidden(
            "only the roles admin and operator, with the scope write, may change a tenant's event types",
        ))
    }
}

fn conflict(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", "It does not go with what is there").detail(detail)
}

impl Declaration {
    fn into_record(
        self,
        name: String,
        tenant_id: &audit_event::TenantId,
    ) -> Result<EventTypeRecord, Problem> {
        if !event_type::is_well_formed(&name) {
            return Err(invalid_event_type(
                "the name must look like payroll.run: parts joined by dots, the first in lower case, at most 200 bytes",
            ));
        }
        if catalogue::find(&name).is_some() {
            return Err(conflict(format!(
                "{name} is a type of the catalogue, which is the same for everybody"
            )));
        }
        if !(1..=MAX_DESCRIPTION_CHARS).contains(&self.description.chars().count()) {
            return Err(invalid_event_type(&format!(
                "description has 1 to {MAX_DESCRIPTION_CHARS} characters"
            )));
        }
        Ok(EventTypeRecord {
            v: VALUE_VERSION,
            tenant_id: tenant_id.clone(),
            name,
            operation: symbol(self.operation, "operation", Operation::DEFAULT)?,
            severity: symbol(self.severity, "severity", Severity::DEFAULT)?,
            description: self.description,
        })
    }
}

fn symbol<T: std::str::FromStr>(text: Option<String>, field: &str, default: T) -> Result<T, Problem> {
    let Some(text) = text else { return Ok(default) };
    text.parse()
        .map_err(|_| invalid_event_type(&format!("{field} has no symbol {text:?}; see /openapi.json")))
}

impl KnownType {
    fn of_catalogue(entry: &EventType) -> Self {
        Self {
            name: entry.name.clone(),
            origin: TypeOrigin::Catalogue,
            category: Some(entry.category),
            operation: entry.operation,
            severity: entry.severity,
            description: entry.description.clone(),
            ocsf_class: Some(entry.ocsf_class),
            ocsf_name: Some(entry.ocsf_name.clone()),
        }
    }

    fn of_tenant(record: &EventTypeRecord) -> Self {
        Self {
            name: record.name.clone(),
            origin: TypeOrigin::Tenant,
            category: None,
            operation: record.operation,
            severity: record.severity,
            description: record.description.clone(),
            ocsf_class: None,
            ocsf_name: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, body: &str) -> Result<EventTypeRecord, u16> {
        let declaration: Declaration = serde_json::from_str(body).map_err(|_| 400_u16)?;
        let tenant = "demo".parse().expect("a tenant");
        declaration.into_record(name.to_owned(), &tenant).map_err(|problem| problem.status)
    }

    #[test]
    fn a_declaration_is_checked() {
        let good = record("payroll.run", r#"{"operation":"execute","description":"A run."}"#).expect("good");
        assert_eq!((good.operation, good.severity), (Operation::Execute, Severity::Info));
        for (name, body, status) in [
            ("payroll", r#"{"description":"A run."}"#, 400),
            ("payroll.run", r#"{"description":""}"#, 400),
            ("payroll.run", r#"{"description":"x","operation":"fly"}"#, 400),
            ("payroll.run", r#"{"description":"x","color":"red"}"#, 400),
            ("user.login", r#"{"description":"Mine."}"#, 409),
        ] {
            assert_eq!(record(name, body), Err(status), "{name} {body}");
        }
    }
}
