//! The HTTP side: Confluent Schema Registry REST API, <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::body::{Body, CONTENT_TYPE, LevelBody, SchemaBody, reply};
use super::error::RegistryError;
use super::select::Which;
use super::service::{Registry, against};
use super::{MAX_BODY_BYTES, MAX_SUBJECT_BYTES};

type Shared = State<Arc<Registry>>;
type Params = Query<HashMap<String, String>>;
type Answer = Result<Response, RegistryError>;

pub fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/", get(async || reply(json!({}))))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_schema))
        .route("/schemas/types", get(async || reply(["AVRO"])))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/schemas/ids/{id}/subjects", get(schema_subjects))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible_with_one))
        .route("/config", get(global_level).put(set_global_level))
        .route("/config/{subject}", get(subject_level).put(set_subject_level).delete(unset_subject_level))
        .route("/mode", get(async || reply(json!({"mode": "READWRITE"}))))
        .fallback(async || RegistryError::NoResource)
        .method_not_allowed_fallback(async || RegistryError::Method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(registry)
}

fn flag(params: &Params, name: &str) -> bool {
    params.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn which(params: &Params) -> Which {
    if flag(params, "deletedOnly") {
        Which::Deleted
    } else if flag(params, "deleted") {
        Which::All
    } else {
        Which::Live
    }
}

fn checked(subject: String) -> Result<String, RegistryError> {
    let fits = (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) && !subject.chars().any(char::is_control);
    if fits { Ok(subject) } else { Err(RegistryError::InvalidSubject) }
}

async fn subjects(State(registry): Shared, params: Params) -> Response {
    let prefix = params.get("subjectPrefix").map_or("", String::as_str);
    reply(registry.state().await.subjects(which(&params), prefix))
}

async fn versions(State(registry): Shared, Path(subject): Path<String>, params: Params) -> Answer {
    let state = registry.state().await;
    let found = state.versions(&subject, which(&params))?;
    Ok(reply(found.iter().map(|held| held.version).collect::<Vec<_>>()))
}

async fn version(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer {
    let state = registry.state().await;
    Ok(reply(state.version(&subject, version.parse()?, which(&params))?))
}

async fn version_schema(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer {
    let state = registry.state().await;
    let found = state.version(&subject, version.parse()?, which(&params))?;
    let text = found.schema.to_owned();
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn register(
    State(registry): Shared,
    Path(subject): Path<String>,
    Body(body): Body<SchemaBody>,
) -> Answer {
    // Clients that know no id send 0 or -1.
    if body.id.is_some_and(|id| id > 0) {
        return Err(RegistryError::ChosenId);
    }
    let id = registry.register(checked(subject)?, body.parse()?).await?;
    Ok(reply(json!({"id": id})))
}

async fn lookup(
    State(registry): Shared,
    Path(subject): Path<String>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer {
    let schema = body.parse()?;
    let state = registry.state().await;
    Ok(reply(state.lookup(&subject, &schema.canonical, which(&params))?))
}

async fn delete_subject(State(registry): Shared, Path(subject): Path<String>, params: Params) -> Answer {
    Ok(reply(registry.delete_subject(subject, flag(&params, "permanent")).await?))
}

async fn delete_version(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer {
    let permanent = flag(&params, "permanent");
    Ok(reply(registry.delete_version(subject, version.parse()?, permanent).await?))
}

fn known_id(id: &str) -> Result<u32, RegistryError> {
    id.parse().map_err(|_| RegistryError::SchemaIdNotFound(id.to_owned()))
}

async fn schema(State(registry): Shared, Path(id): Path<String>) -> Answer {
    let state = registry.state().await;
    let text = state.text(known_id(&id)?).ok_or(RegistryError::SchemaIdNotFound(id))?;
    Ok(reply(json!({"schema": text})))
}

async fn schema_versions(State(registry): Shared, Path(id): Path<String>, params: Params) -> Answer {
    let state = registry.state().await;
    let uses = state.uses(known_id(&id)?, which(&params)).ok_or(RegistryError::SchemaIdNotFound(id))?;
    let uses = uses.into_iter().map(|(subject, version)| json!({"subject": subject, "version": version}));
    Ok(reply(uses.collect::<Vec<_>>()))
}

async fn schema_subjects(State(registry): Shared, Path(id): Path<String>, params: Params) -> Answer {
    let state = registry.state().await;
    let uses = state.uses(known_id(&id)?, which(&params)).ok_or(RegistryError::SchemaIdNotFound(id))?;
    Ok(reply(uses.into_iter().map(|(subject, _)| subject).collect::<BTreeSet<_>>()))
}

fn verdict(obstacles: Vec<String>, verbose: bool) -> Response {
    let compatible = obstacles.is_empty();
    reply(if verbose {
        json!({"is_compatible": compatible, "messages": obstacles})
    } else {
        json!({"is_compatible": compatible})
    })
}

/// By the subject's level; a subject that doesn't exist yet takes anything.
async fn compatible_with_all(
    State(registry): Shared,
    Path(subject): Path<String>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer {
    let schema = body.parse()?;
    let state = registry.state().await;
    let earlier = state.versions(&subject, Which::Live).unwrap_or_default();
    Ok(verdict(against(state.level(&subject), &schema, earlier), flag(&params, "verbose")))
}

async fn compatible_with_one(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
    Body(body): Body<SchemaBody>,
) -> Answer {
    let schema = body.parse()?;
    let state = registry.state().await;
    let earlier = state.version(&subject, version.parse()?, Which::Live)?;
    Ok(verdict(against(state.level(&subject), &schema, vec![earlier]), flag(&params, "verbose")))
}

async fn global_level(State(registry): Shared) -> Response {
    reply(json!({"compatibilityLevel": registry.state().await.global_level().as_str()}))
}

async fn subject_level(State(registry): Shared, Path(subject): Path<String>, params: Params) -> Answer {
    let state = registry.state().await;
    let level = match state.subject_level(&subject) {
        None if flag(&params, "defaultToGlobal") => state.global_level(),
        level => level.ok_or(RegistryError::NoSubjectLevel(subject))?,
    };
    Ok(reply(json!({"compatibilityLevel": level.as_str()})))
}

async fn set_global_level(State(registry): Shared, Body(body): Body<LevelBody>) -> Answer {
    let level = body.parse()?;
    registry.set_level(None, Some(level)).await?;
    Ok(reply(json!({"compatibility": level.as_str()})))
}

async fn set_subject_level(
    State(registry): Shared,
    Path(subject): Path<String>,
    Body(body): Body<LevelBody>,
) -> Answer {
    let level = body.parse()?;
    registry.set_level(Some(checked(subject)?), Some(level)).await?;
    Ok(reply(json!({"compatibility": level.as_str()})))
}

async fn unset_subject_level(State(registry): Shared, Path(subject): Path<String>) -> Answer {
    let before = registry.clone().set_level(Some(subject.clone()), None).await?;
    let level = before.ok_or(RegistryError::NoSubjectLevel(subject))?;
    Ok(reply(json!({"compatibilityLevel": level.as_str()})))
}
