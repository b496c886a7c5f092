//! What the registry refuses, with the numbers of the Confluent Schema Registry REST API.

use super::compatibility::UnknownLevel;
use super::schema::SchemaError;
use super::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("subject \"{0}\" not found")]
    SubjectNotFound(String),
    #[error("version {0} not found")]
    VersionNotFound(String),
    #[error("schema {0} not found")]
    SchemaIdNotFound(String),
    #[error("this schema is not registered under subject \"{0}\"")]
    SchemaNotFound(String),
    #[error("subject \"{0}\" is soft-deleted already; add permanent=true to delete it for good")]
    SubjectSoftDeleted(String),
    #[error(
        "subject \"{0}\" must be soft-deleted before it can be deleted for good; leave out permanent=true first"
    )]
    SubjectNotSoftDeleted(String),
    #[error(
        "version {1} of subject \"{0}\" is soft-deleted already; add permanent=true to delete it for good"
    )]
    VersionSoftDeleted(String, u32),
    #[error(
        "version {1} of subject \"{0}\" must be soft-deleted before it can be deleted for good; leave out permanent=true first"
    )]
    VersionNotSoftDeleted(String, u32),
    #[error(
        "subject \"{0}\" has no compatibility level of its own; ask with defaultToGlobal=true, or set one"
    )]
    NoSubjectLevel(String),
    #[error("the schema is incompatible with an earlier one of subject \"{subject}\": {}", .obstacles.join("; "))]
    Incompatible { subject: String, obstacles: Vec<String> },
    #[error(transparent)]
    InvalidSchema(#[from] SchemaError),
    #[error("schema type {0} is not supported; only AVRO is")]
    SchemaType(String),
    #[error("{0} are not supported; write everything into one schema and leave \"{0}\" out")]
    Unsupported(&'static str),
    #[error("\"{0}\" is not a version; use a number from 1 to 2147483647, or \"latest\"")]
    InvalidVersion(String),
    #[error(transparent)]
    InvalidLevel(#[from] UnknownLevel),
    #[error("the id cannot be chosen; leave \"id\" out, the registry assigns it")]
    ChosenId,
    #[error("the subject must have 1 to {max} bytes and no control characters", max = super::MAX_SUBJECT_BYTES)]
    InvalidSubject,
    #[error("the body is not the json expected here: {0}")]
    Body(serde_json::Error),
    #[error("the body could not be read: {0}")]
    Unreadable(String),
    #[error("the body is larger than {max} bytes; split the schema", max = super::MAX_BODY_BYTES)]
    TooLarge,
    #[error("send the body with content type application/vnd.schemaregistry.v1+json or application/json")]
    ContentType,
    #[error("no such resource")]
    NoResource,
    #[error("this resource doesn't take this method")]
    Method,
    #[error("the registry wants a user and its password (HTTP Basic)")]
    NotLoggedIn,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the write was interrupted; ask the registry what it holds, then repeat it")]
    Interrupted,
}

impl RegistryError {
    /// The number in the body; its first three digits are the HTTP status.
    pub fn code(&self) -> u32 {
        match self {
            Self::Unreadable(_) | Self::Body(_) => 400,
            Self::NotLoggedIn => 401,
            Self::NoResource => 404,
            Self::SubjectNotFound(_) => 40401,
            Self::VersionNotFound(_) => 40402,
            Self::SchemaIdNotFound(_) | Self::SchemaNotFound(_) => 40403,
            Self::SubjectSoftDeleted(_) => 40404,
            Self::SubjectNotSoftDeleted(_) => 40405,
            Self::VersionSoftDeleted(..) => 40406,
            Self::VersionNotSoftDeleted(..) => 40407,
            Self::NoSubjectLevel(_) => 40408,
            Self::Method => 405,
            Self::Incompatible { .. } => 409,
            Self::TooLarge => 413,
            Self::ContentType => 415,
            Self::InvalidSchema(_) | Self::SchemaType(_) | Self::Unsupported(_) => 42201,
            Self::InvalidVersion(_) => 42202,
            Self::InvalidLevel(_) => 42203,
            Self::ChosenId => 42205,
            Self::InvalidSubject => 42208,
            Self::Store(StoreError::NotWrittenInTime) => 50002,
            Self::Store(_) | Self::Interrupted => 50001,
        }
    }

    pub fn status(&self) -> u16 {
        let code = self.code();
        let status = if code >= 1000 { code / 100 } else { code };
        u16::try_from(status).unwrap_or(500)
    }
}
