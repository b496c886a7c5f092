//! Bodies of requests and responses: their content types, their bound, and what may be in them.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compatibility::{Level, UnknownLevel};
use super::error::RegistryError;
use super::schema::AvroSchema;

pub const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPTED: [&str; 3] = [CONTENT_TYPE, "application/vnd.schemaregistry+json", "application/json"];

fn respond(status: StatusCode, body: impl Serialize) -> Response {
    match serde_json::to_vec(&body) {
        Ok(json) => (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], json).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub fn reply(body: impl Serialize) -> Response {
    respond(StatusCode::OK, body)
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        respond(status, json!({"error_code": self.code(), "message": self.to_string()}))
    }
}

/// A JSON body. The content type is required: with one of these a browser asks before it sends another site's page.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = RegistryError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RegistryError> {
        let sent = request.headers().get(header::CONTENT_TYPE);
        let sent = sent.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = sent.split(';').next().unwrap_or_default().trim();
        if !ACCEPTED.iter().any(|accepted| accepted.eq_ignore_ascii_case(kind)) {
            return Err(RegistryError::ContentType);
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error: BytesRejection| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                RegistryError::TooLarge
            } else {
                RegistryError::Unreadable(error.body_text())
            }
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(RegistryError::Body)
    }
}

#[derive(Deserialize)]
pub struct SchemaBody {
    schema: Option<String>,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    pub id: Option<i64>,
    references: Option<Vec<Value>>,
    metadata: Option<Value>,
    #[serde(rename = "ruleSet")]
    rule_set: Option<Value>,
}

impl SchemaBody {
    /// What is ignored silently here would be missing later, so it is refused.
    pub fn parse(self) -> Result<AvroSchema, RegistryError> {
        match self.schema_type {
            Some(kind) if kind != "AVRO" => return Err(RegistryError::SchemaType(kind)),
            _ if self.references.is_some_and(|list| !list.is_empty()) => {
                return Err(RegistryError::Unsupported("references"));
            }
            _ if self.metadata.is_some() => return Err(RegistryError::Unsupported("metadata")),
            _ if self.rule_set.is_some() => return Err(RegistryError::Unsupported("ruleSet")),
            _ => {}
        }
        Ok(AvroSchema::parse(&self.schema.unwrap_or_default())?)
    }
}

#[derive(Deserialize)]
pub struct LevelBody {
    compatibility: Option<String>,
}

impl LevelBody {
    pub fn parse(self) -> Result<Level, UnknownLevel> {
        self.compatibility.unwrap_or_default().parse()
    }
}
