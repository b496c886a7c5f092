//! What `/openapi.json` says beyond the handlers: the bearer scheme, the parameter tables, the problems, and the event,
//! whose schema is taken from the Avro schema so that the two cannot differ.

use std::borrow::Cow;

use serde_json::Value;
use utoipa::openapi::path::{Parameter as ApiParameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi, PartialSchema, ToSchema};

use crate::answer::{EventAnswer, Seal};
use crate::parameters::{Form, Parameter};
use crate::{filter, search, stats};

/// The name of the scheme, as the handlers use it.
pub const API_KEY: &str = "api_key";

#[derive(OpenApi)]
#[openapi(
    info(title = "Sealtrail query API", description = "Who did what to what: search and counts over the audit trail, for the caller's tenant only."),
    modifiers(&BearerScheme),
    components(schemas(service_kit::Problem, Seal))
)]
pub struct Base;

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key (`stk_…`), or a token (JWT) of the configured issuer, with the role reader, auditor, admin or operator."));
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme(API_KEY, SecurityScheme::Http(bearer.build()));
    }
}

/// The parameters of `GET /v1/events`.
pub struct SearchParameters;

impl IntoParams for SearchParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<ApiParameter> {
        filter::PARAMETERS.iter().chain(search::PAGE_PARAMETERS).map(api_parameter).collect()
    }
}

/// The parameters of `GET /v1/stats`.
pub struct StatsParameters;

impl IntoParams for StatsParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<ApiParameter> {
        filter::PARAMETERS.iter().chain(stats::GROUP_PARAMETERS).map(api_parameter).collect()
    }
}

fn api_parameter(parameter: &Parameter) -> ApiParameter {
    let schema = match &parameter.form {
        Form::Text => text().min_length(Some(1)),
        Form::Time => text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        Form::OneOf(symbols) => text().enum_values(Some(symbols.iter().copied())),
        Form::SomeOf(names) => text().pattern(Some(format!("^({0})(,({0}))*$", names.join("|")))),
        Form::Number { min, max, default } => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(*min))
            .maximum(Some(*max))
            .default(Some(Value::from(*default))),
    };
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(parameter.about))
        .schema(Some(schema))
        .build()
}

/// The problems that every route of events may answer with.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> std::collections::BTreeMap<String, RefOr<Response>> {
        let problems = [
            ("400", "The request cannot be understood; `detail` names what is wrong."),
            ("401", "The API key or token is missing or not good."),
            ("403", "The caller's role may not read, or not for this tenant."),
            ("500", "The service has a fault."),
            ("503", "Not possible just now; try again after `Retry-After`."),
        ];
        let response = |about: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            ResponseBuilder::new().description(about).content("application/problem+json", content).build()
        };
        problems.into_iter().map(|(status, about)| (status.to_owned(), response(about).into())).collect()
    }
}

impl ToSchema for EventAnswer {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }
}

impl PartialSchema for EventAnswer {
    fn schema() -> RefOr<Schema> {
        let avro: Value = serde_json::from_str(schemas::avro::SCHEMA_TEXT).expect("the avro schema is json");
        let integer = || ObjectBuilder::new().schema_type(Type::Integer);
        let received_at = text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("When the broker took the record."));
        record(&avro)
            .property("received_at", received_at)
            .property("kafka_partition", integer())
            .property("kafka_offset", integer())
            .property("seal", Ref::from_schema_name(Seal::name()))
            .property("flags", ArrayBuilder::new().items(text()))
            .property("door", text().description(Some("http or direct")))
            .property("traceparent", text_or_null("The W3C traceparent of the request that brought it."))
            .property("correlation_id", text_or_null("The X-Correlation-Id of the request that brought it."))
            .required("traceparent")
            .required("correlation_id")
            .required("received_at")
            .required("kafka_partition")
            .required("kafka_offset")
            .required("seal")
            .required("flags")
            .required("door")
            .into()
    }
}

fn text_or_null(about: &str) -> OneOfBuilder {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().description(Some(about)).item(text()).item(null)
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A record of Avro's. All fields are answered, so all are required.
fn record(avro: &Value) -> ObjectBuilder {
    let fields = avro["fields"].as_array().into_iter().flatten();
    let about = avro["doc"].as_str();
    fields.fold(ObjectBuilder::new().schema_type(Type::Object).description(about), |object, field| {
        let name = field["name"].as_str().unwrap_or_default();
        object.property(name, schema_of(&field["type"], field["doc"].as_str())).required(name)
    })
}

fn schema_of(avro: &Value, about: Option<&str>) -> Schema {
    if let Some(union) = avro.as_array() {
        let present = union.iter().filter(|member| *member != "null");
        let null = ObjectBuilder::new().schema_type(Type::Null);
        return present
            .fold(OneOfBuilder::new().description(about), |of, member| of.item(schema_of(member, None)))
            .item(null)
            .into();
    }
    let format = match avro["logicalType"].as_str() {
        Some("uuid") => Some(KnownFormat::Uuid),
        Some("timestamp-micros") => Some(KnownFormat::DateTime),
        _ => None,
    };
    match avro["type"].as_str().or(avro.as_str()) {
        Some("record") => record(avro).into(),
        Some("array") => {
            ArrayBuilder::new().items(RefOr::T(schema_of(&avro["items"], None))).description(about).into()
        }
        Some("map") => {
            let values = AdditionalProperties::RefOr(schema_of(&avro["values"], None).into());
            ObjectBuilder::new().additional_properties(Some(values)).description(about).into()
        }
        Some("enum") => text().enum_values(avro["symbols"].as_array().cloned()).description(about).into(),
        // a time is a text in JSON
        Some("long" | "int") if format.is_none() => {
            ObjectBuilder::new().schema_type(Type::Integer).description(about).into()
        }
        _ => text().format(format.map(SchemaFormat::KnownFormat)).description(about).into(),
    }
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
