//! The two doors over HTTP, and their description.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use kafka_io::control::ControlWriter;
use serde::Deserialize;
use service_kit::{Problem, RequestContext};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admit::Admission;
use crate::answer::{BatchResult, ItemResult, Status};
use crate::body::{self, Coding, Pieces};
use crate::config::Limits;
use crate::event_schema::{CloudEventBody, NewEvent};
use crate::event_types;
use crate::form::Form;
use crate::intake::{self, Reader};
use crate::prepare::Target;
use crate::publish::{Batch, Delivery, Finished, Origin, Publisher};
use crate::rates::{Left, Load, Rates};
use crate::stream::Terms;
use crate::turns::Turns;

pub struct Gateway {
    pub publisher: Publisher,
    pub admission: Admission,
    pub rates: Rates,
    pub turns: Turns,
    pub control_writer: ControlWriter,
    pub limits: Limits,
}

impl Gateway {
    /// Where records go. A gateway that was started on another trail must not sign for this one.
    fn target(&self) -> Result<Target, Problem> {
        let target = self.publisher.target()?;
        let trail_id = self.admission.state().trail.as_ref().map(|trail| trail.trail_id);
        if trail_id == Some(target.trail_id) {
            Ok(target)
        } else {
            Err(Problem::unavailable("the trail was begun anew; restart the gateway"))
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Sealtrail ingest gateway", description = "Takes audit events and answers where they are kept."),
    modifiers(&ApiKey),
    security(("api_key" = []))
)]
struct Description;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("stk_<key_id>_<secret>, or a JWT of the configured issuer")
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

fn documented() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(post_event))
        .routes(routes!(post_batch))
        .routes(routes!(event_types::list))
        .routes(routes!(event_types::declare, event_types::withdraw))
        .routes(routes!(verifier_keys))
}

/// What `/openapi.json` answers.
pub fn description() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

pub fn router(gateway: Gateway) -> Router {
    let (router, description) = documented().split_for_parts();
    let description = Arc::new(description);
    router
        .with_state(Arc::new(gateway))
        .route("/openapi.json", get(move || async move { Json(description.as_ref().clone()) }))
        .fallback(|| async { Problem::not_found("see /openapi.json for what is there") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path has other methods")
        })
}

/// How an answer is to be understood.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DeliveryParameter {
    /// `durable`, the default: answered once Kafka has the events, with a receipt. `async`: answered at once as `buffered`.
    #[serde(default)]
    #[param(inline)]
    delivery: Option<Delivery>,
}

fn delivery_of(parameter: Result<Query<DeliveryParameter>, QueryRejection>) -> Result<Delivery, Problem> {
    let Query(parameter) = parameter.map_err(|_| {
        Problem::bad_request("the only query parameter is delivery, which is durable or async")
    })?;
    Ok(parameter.delivery.unwrap_or_default())
}

/// The keys that receipts can be checked with, one a line: `<name>+<id>+<key>` (C2SP signed-note). Former keys stay here
/// as long as their receipts hold.
#[utoipa::path(
    get,
    path = "/.well-known/sealtrail-keys",
    security(()),
    responses((status = 200, description = "First the key that signs now", body = String, content_type = "text/plain"))
)]
async fn verifier_keys(State(gateway): State<Arc<Gateway>>) -> String {
    gateway.publisher.receipts.verifier_keys()
}

/// Sends one event. It is answered once it is replicated in Kafka.
#[utoipa::path(
    post,
    path = "/v1/events",
    request_body(
        description = "An event: required are event_type, occurred_at and actor.id. Or a CloudEvent whose data is the event, in structured or binary mode.",
        content((NewEvent = "application/json"), (CloudEventBody = "application/cloudevents+json"))
    ),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]+$", description = "Events without an event_id get the same one again under the same key"),
        DeliveryParameter,
    ),
    responses(
        (status = 202, description = "Accepted, or dropped by the tenant's policy", body = ItemResult),
        (status = 400, description = "Not an event", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid API key or token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller may not write or not for this tenant, the event names another tenant, or it is not signed as the tenant's policy asks", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON by its Content-Type, or packed otherwise than by gzip or zstd", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Over a rate, of the key, the tenant or all; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not confirmed; send again, see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn post_event(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(context): Extension<RequestContext>,
    parameter: Result<Query<DeliveryParameter>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = gateway.admission.writer(&headers)?;
    let delivery = delivery_of(parameter)?;
    let (form, coding) = (Form::of(&headers)?, Coding::of(&headers)?);
    let target = gateway.target()?;
    let mut room = gateway.admission.make_room(&headers, coding)?;
    let body = body::read_body(body, coding, &gateway.limits, &mut room).await?;
    let left = gateway.rates.take(&caller, Load { events: 1, bytes: body.len() })?;
    let control = gateway.admission.state();
    let reader = Reader::new(&caller, &control, gateway.admission.pepper(), &headers, context.trace)?;
    let _turn = gateway.turns.take(&caller.tenant_id).await?;
    let item = reader.read_one(form, &headers, &body)?;
    drop((body, room));
    let origin = Origin::new(peer, context.correlation_id);
    let mut batch = gateway.publisher.begin(target, &origin, delivery)?;
    batch.push(item);
    let Finished { mut results, mut receipts } = batch.finish().await;
    let Some(mut result) = results.pop() else { return Err(Problem::unavailable("no result")) };
    match (result.status, result.problem.clone()) {
        (Status::Rejected | Status::Unconfirmed, Some(problem)) => Err(problem),
        _ => {
            result.receipt = receipts.pop();
            let mut response = (StatusCode::ACCEPTED, Json(result)).into_response();
            gateway.rates.show(left, response.headers_mut());
            Ok(response)
        }
    }
}

/// Sends up to 10,000 events, as a JSON array or one a line (NDJSON). Each has its own result.
#[utoipa::path(
    post,
    path = "/v1/events/batch",
    request_body(
        description = "Events as a JSON array, one a line, or as a JSON array of CloudEvents",
        content((Vec<NewEvent> = "application/json"), (String = "application/x-ndjson"), (Vec<CloudEventBody> = "application/cloudevents-batch+json"))
    ),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]+$", description = "Events without an event_id get the same one again under the same key and place"),
        DeliveryParameter,
    ),
    responses(
        (status = 202, description = "A result for each event", body = BatchResult),
        (status = 400, description = "Not a batch", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No valid API key or token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key may not write", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large, or too many events; with results for what was taken before, of NDJSON", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor NDJSON by its Content-Type, or packed otherwise than by gzip or zstd", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Every event was rejected; a result for each", body = BatchResult),
        (status = 429, description = "Over a rate, of the key, the tenant or all; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Some events were not confirmed: a result for each; or a problem, if none was tried", body = BatchResult),
    )
)]
async fn post_batch(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(context): Extension<RequestContext>,
    parameter: Result<Query<DeliveryParameter>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = gateway.admission.writer(&headers)?;
    let delivery = delivery_of(parameter)?;
    let (form, coding) = (Form::of(&headers)?, Coding::of(&headers)?);
    let target = gateway.target()?;
    let control = gateway.admission.state();
    let reader = Reader::new(&caller, &control, gateway.admission.pepper(), &headers, context.trace)?;
    let origin = Origin::new(peer, context.correlation_id);
    let mut batch = gateway.publisher.begin(target, &origin, delivery)?;
    let taken = if form == Form::NdJson {
        let (rates, limits) = (&gateway.rates, &gateway.limits);
        let terms = Terms { caller: &caller, reader, rates, limits, turns: &gateway.turns };
        let room = gateway.admission.make_room(&headers, Coding::Gzip)?;
        terms.take(Pieces::new(body, coding, limits)?, room, &mut batch).await
    } else {
        let mut room = gateway.admission.make_room(&headers, coding)?;
        let body = body::read_body(body, coding, &gateway.limits, &mut room).await?;
        let _turn = gateway.turns.take(&caller.tenant_id).await?;
        let items = intake::batch_items(form, &body, &gateway.limits)?;
        let left = gateway.rates.take(&caller, Load { events: items.len(), bytes: body.len() })?;
        for (index, value) in items.iter().enumerate() {
            batch.push(reader.read_text(index, form, value.get().as_bytes()));
        }
        Ok(left)
    };
    answer(&gateway, batch, taken).await
}

/// What was produced has its results, also where the body then broke off.
async fn answer(
    gateway: &Gateway,
    batch: Batch<'_>,
    taken: Result<Left, Problem>,
) -> Result<Response, Problem> {
    let (left, problem) = match taken {
        Err(problem) if batch.len() == 0 => return Err(problem),
        Err(problem) => (None, Some(problem)),
        Ok(left) => (Some(left), None),
    };
    let retry_after_s = problem.as_ref().and_then(|problem| problem.retry_after_s);
    let Finished { results, receipts } = batch.finish().await;
    let mut receipts = receipts.into_iter();
    let answer =
        BatchResult { results, receipt: receipts.next(), more_receipts: receipts.collect(), problem };
    let status = answer.status();
    let retry_after_s = retry_after_s.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(1));
    let mut response = (status, Json(answer)).into_response();
    if let Some(left) = left {
        gateway.rates.show(left, response.headers_mut());
    }
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_what_is_answered() {
        let generated = service_kit::reference::openapi(&description());
        assert!(generated.contains("\"openapi\": \"3.1.0\""));
        let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi/gateway.json");
        let committed = std::fs::read_to_string(committed).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/openapi/gateway.json is another; run `make docs` and look at the difference"
        );
    }
}
