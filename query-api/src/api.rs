//! The routes and their handlers. A handler reads the request, lets a module work, and answers.

use std::sync::Arc;

use audit_event::EventId;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use service_kit::http::cors;
use service_kit::{Problem, requests};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{EventAnswer, EventPage};
use crate::auth::{self, Gate, Tenant};
use crate::metrics::QueryMetrics;
use crate::observe;
use crate::openapi::{self, Problems, SearchParameters, StatsParameters};
use crate::parameters::Parameters;
use crate::search::{self, Search};
use crate::stats::{Stats, StatsAnswer};
use crate::store::Store;

#[derive(Clone)]
pub struct Api {
    pub gate: Arc<Gate>,
    pub store: Arc<Store>,
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// What `/openapi.json` answers.
pub fn description() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// All routes. `others`, those of operation and `/docs`, stay outside the request log: probes would drown it.
pub fn router(api: Api, metrics: QueryMetrics, cors_origins: &[String], others: Router) -> Router {
    let (v1, document) = documented().split_for_parts();
    let document = Arc::new(document);
    let api = v1
        .route_layer(middleware::from_fn_with_state(api.gate.clone(), auth::require_reader))
        .with_state(api)
        .route("/openapi.json", get(async move || Json(document.as_ref().clone())))
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(metrics.answer_bytes, observe::observe))
        .layer(middleware::from_fn_with_state(metrics.requests, requests::observe));
    cors::allow(api, cors_origins).merge(others.method_not_allowed_fallback(wrong_method))
}

fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .routes(routes!(list_events))
        .routes(routes!(get_event))
        .routes(routes!(get_stats))
}

/// Search events, newest first
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(SearchParameters),
    responses((status = 200, description = "A page of events.", body = EventPage), Problems),
    security(("api_key" = []))
)]
async fn list_events(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    pairs: Pairs,
) -> Result<Json<EventPage>, Problem> {
    let search = Search::parse(read(pairs)?)?;
    Ok(Json(search.run(&api.store, &tenant.0).await?))
}

/// Get one event
#[utoipa::path(
    get,
    path = "/v1/events/{event_id}",
    tag = "events",
    params(("event_id" = uuid::Uuid, Path, description = "The event's id, with hyphens.")),
    responses(
        (status = 200, description = "The event.", body = EventAnswer),
        (status = 404, description = "The tenant has no such event.", body = Problem, content_type = "application/problem+json"),
        Problems
    ),
    security(("api_key" = []))
)]
async fn get_event(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    event_id: Result<Path<String>, PathRejection>,
    pairs: Pairs,
) -> Result<Json<EventAnswer>, Problem> {
    Parameters::read(read(pairs)?, &[])?;
    let event_id: EventId = event_id
        .ok()
        .and_then(|Path(text)| text.parse().ok())
        .ok_or_else(|| Problem::bad_request("the event id must be a UUID with hyphens"))?;
    let found = search::find(&api.store, &tenant.0, event_id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("there is no event with this id"))
}

/// Count events by what they have in common
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "events",
    params(StatsParameters),
    responses(
        (status = 200, description = "Groups by time, the largest first within a time; at most 10,000.", body = StatsAnswer),
        Problems
    ),
    security(("api_key" = []))
)]
async fn get_stats(
    State(api): State<Api>,
    Extension(tenant): Extension<Tenant>,
    pairs: Pairs,
) -> Result<Json<StatsAnswer>, Problem> {
    let stats = Stats::parse(read(pairs)?)?;
    Ok(Json(stats.run(&api.store, &tenant.0).await?))
}

fn read(pairs: Pairs) -> Result<Vec<(String, String)>, Problem> {
    pairs.map(|Query(pairs)| pairs).map_err(|_| Problem::bad_request("the query string cannot be read"))
}

async fn no_such_route() -> Problem {
    Problem::not_found("there is no such route; see /openapi.json")
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed("use GET")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_routes_problems_and_the_scheme() {
        let document = serde_json::to_value(description()).expect("serialises");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
        for path in ["/v1/events", "/v1/events/{event_id}", "/v1/stats"] {
            let operation = &document["paths"][path]["get"];
            assert_eq!(operation["security"][0]["api_key"], serde_json::json!([]), "{path}");
            for status in ["200", "400", "401", "403", "500", "503"] {
                assert!(operation["responses"][status].is_object(), "{path} {status}");
            }
        }
        for schema in ["Event", "EventPage", "StatsAnswer", "Group", "Problem", "Seal"] {
            assert!(document["components"]["schemas"][schema].is_object(), "{schema}");
        }
    }

    #[test]
    fn the_committed_description_is_what_is_answered() {
        let generated = service_kit::reference::openapi(&description());
        let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi/query-api.json");
        let committed = std::fs::read_to_string(committed).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/openapi/query-api.json is another; run `make docs` and look at the difference"
        );
    }
}
