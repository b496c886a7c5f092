//! The forms of a body, told by its headers.

use axum::http::{HeaderMap, header};
use service_kit::Problem;

use crate::answer::unsupported_media;
use crate::cloudevents;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An event, or an array of them for a batch.
    Json,
    /// One event a line.
    NdJson,
    /// A CloudEvent, attributes and data in one JSON object ("structured mode").
    CloudEvent,
    /// A JSON array of CloudEvents ("batched mode").
    CloudEventBatch,
    /// A CloudEvent, its attributes in headers and its data the body ("binary mode").
    CloudEventBinary,
}

impl Form {
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let is_binary_cloud_event = headers.contains_key(cloudevents::SPECVERSION_HEADER);
        match essence(headers).as_str() {
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Self::CloudEventBatch),
            "application/json" | "" if is_binary_cloud_event => Ok(Self::CloudEventBinary),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::NdJson),
            _ => Err(unsupported_media(
                "send Content-Type: application/json or application/cloudevents+json; for a batch also application/x-ndjson or \
                 application/cloudevents-batch+json",
            )),
        }
    }
}

/// The media type without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Option<Form> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Form::of(&pairs.collect()).ok()
    }

    #[test]
    fn headers_tell_the_form() {
        let version = ("ce-specversion", "1.0");
        assert_eq!(of(&[("content-type", "application/json; charset=utf-8")]), Some(Form::Json));
        assert_eq!(of(&[("content-type", "Application/X-NDJSON")]), Some(Form::NdJson));
        assert_eq!(
            of(&[("content-type", "application/cloudevents+json; charset=UTF-8")]),
            Some(Form::CloudEvent)
        );
        assert_eq!(
            of(&[("content-type", "application/cloudevents-batch+json")]),
            Some(Form::CloudEventBatch)
        );
        assert_eq!(of(&[("content-type", "application/json"), version]), Some(Form::CloudEventBinary));
        assert_eq!(of(&[version]), Some(Form::CloudEventBinary));
        assert_eq!(of(&[("content-type", "application/cloudevents+json"), version]), Some(Form::CloudEvent));
        for refused in
            [&[("content-type", "text/xml"), version][..], &[], &[("content-type", "application/avro")]]
        {
            assert_eq!(of(refused), None, "{refused:?}");
        }
    }
}
