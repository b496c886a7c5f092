//! The things that a CloudTrail record names as acted upon.

use serde_json::{Map, Value, json};

use super::{kinds, short_service, snake_case, text};

/// One call can name thousands of things; the full lists stay in the attributes.
pub const MAX_TARGETS: usize = 50;

/// What CloudTrail writes in place of a value it does not show.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// Parameters whose entries describe a search or a label and not a thing.
const NOT_THINGS: &[&str] = &["filterSet", "filters", "tagSet", "tagSpecificationSet", "tags"];

/// The event's `targets`, in the order resources, request, answer.
///
/// A thing that the record names both by ARN and by plain name is there twice, once under each: services differ in which
/// one they write, and a search for either must find it.
pub fn targets(record: &Value, event_name: &str, event_source: &str, operation: &str) -> Vec<Value> {
    let is_service_event = text(record, "/eventType") == Some("AwsServiceEvent");
    // A service's own event is named after what happened, not after a thing.
    let noun = if is_service_event { String::new() } else { kinds::noun(event_name) };
    let mut found = Collector { service: short_service(event_source), noun, targets: Vec::new() };
    for resource in record.get("resources").and_then(Value::as_array).into_iter().flatten() {
        found.resource(resource);
    }
    if let Some(parameters) = record.get("requestParameters").and_then(Value::as_object) {
        found.object_in_bucket(parameters);
        found.parameters(parameters);
    }
    if operation == "create" {
        // What a call creates is named by the answer only.
        if let Some(elements) = record.get("responseElements") {
            found.created("", elements);
        }
    }
    if is_service_event {
        // Events of a service's own have no request: what they are about stands in the details.
        for details in ["serviceEventDetails", "additionalEventData"] {
            if let Some(fields) = record.get(details).and_then(Value::as_object) {
                found.parameters(fields);
            }
        }
    }
    found.targets
}

struct Collector<'a> {
    service: &'a str,
    noun: String,
    targets: Vec<Value>,
}

impl Collector<'_> {
    fn push(&mut self, id: &str, kind: &str) {
        if id.is_empty() || id == HIDDEN || id == "*" || kind.is_empty() || self.targets.len() >= MAX_TARGETS
        {
            return;
        }
        // An ARN is one thing under whatever type; a plain name may be a user's and a role's.
        let is_arn = id.starts_with("arn:");
        let known =
            self.targets.iter().any(|target| target["id"] == id && (is_arn || target["type"] == kind));
        if !known {
            self.targets.push(json!({"id": id, "type": kind}));
        }
    }

    fn resource(&mut self, resource: &Value) {
        let Some(id) = ["/ARN", "/arn", "/ARNPrefix"].into_iter().find_map(|name| text(resource, name))
        else {
            return;
        };
        let kind = text(resource, "/type")
            .and_then(kinds::of_resource_type)
            .or_else(|| kinds::of_arn(id))
            .unwrap_or_else(|| "resource".to_owned());
        self.push(id, &kind);
    }

    /// An object's key means nothing without its bucket.
    fn object_in_bucket(&mut self, parameters: &Map<String, Value>) {
        let named =
            |name: &str| parameters.get(name).and_then(Value::as_str).filter(|found| !found.is_empty());
        if let (Some(bucket), Some(key)) = (named("bucketName"), named("key")) {
            self.push(&format!("{bucket}/{key}"), "s3_object");
        }
    }

    fn parameters(&mut self, parameters: &Map<String, Value>) {
        for (key, value) in parameters {
            if NOT_THINGS.contains(&key.as_str()) {
                continue;
            }
            let key = lower_first(key);
            match value {
                Value::String(id) if key == "resourceId" => self.typed_resource(id, parameters),
                Value::String(id) if key == "name" => self.name(id),
                Value::String(id) => self.parameter(&key, id),
                Value::Array(list) => {
                    let one = kinds::singular(key.strip_suffix("List").unwrap_or(&key));
                    for id in list.iter().filter_map(Value::as_str) {
                        if one == "name" { self.name(id) } else { self.parameter(&one, id) }
                    }
                }
                // EC2's newer calls wrap everything in one object named after the call.
                Value::Object(inner) if key.ends_with("Request") => self.parameters(inner),
                // … and its older ones write lists as {"instancesSet": {"items": [{"instanceId": …}]}}.
                Value::Object(inner) => {
                    for item in inner.get("items").and_then(Value::as_array).into_iter().flatten() {
                        for (key, id) in item.as_object().into_iter().flatten() {
                            if let Some(id) = id.as_str() {
                                self.parameter(&lower_first(key), id);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn parameter(&mut self, key: &str, id: &str) {
        if let Some(kind) = kinds::of_parameter(key, id, self.service) {
            self.push(id, &kind);
        }
    }

    /// A bare `name` is the name of what the call is about.
    fn name(&mut self, id: &str) {
        let kind = match kinds::of_arn(id) {
            Some(kind) => kind,
            // Its calls are about logging and selectors; what they name is always the trail.
            None if self.service == "cloudtrail" => "cloudtrail_trail".to_owned(),
            None if self.noun.is_empty() => return,
            None => format!("{}_{}", snake_case(self.service), self.noun),
        };
        self.push(id, &kind);
    }

    /// A `resourceId` with its type beside it.
    fn typed_resource(&mut self, id: &str, parameters: &Map<String, Value>) {
        let kind = kinds::of_parameter("resourceId", id, self.service).unwrap_or_default();
        match parameters.get("resourceType").and_then(Value::as_str) {
            Some(named) if kind.ends_with("_resource") => {
                self.push(id, &format!("{}_{}", snake_case(self.service), snake_case(named)));
            }
            _ => self.push(id, &kind),
        }
    }

    /// Of all that an answer describes, only what has the type that the call creates.
    fn created(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| self.created(key, value)),
            Value::Array(list) => list.iter().for_each(|value| self.created(key, value)),
            Value::String(id) => {
                let by_noun = format!("_{}", self.noun);
                if let Some(kind) = kinds::of_parameter(&lower_first(key), id, self.service)
                    && !self.noun.is_empty()
                    && kind.ends_with(&by_noun)
                {
                    self.push(id, &kind);
                }
            }
            _ => {}
        }
    }
}

/// The newer calls write `NatGatewayId` where the older ones write `natGatewayId`.
fn lower_first(key: &str) -> String {
    let mut chars = key.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(record: &Value, name: &str, service: &str, operation: &str) -> Vec<(String, String)> {
        targets(record, name, &format!("{service}.amazonaws.com"), operation)
            .iter()
            .map(|target| {
                assert_eq!(target.as_object().unwrap().len(), 2);
                (target["id"].as_str().unwrap().to_owned(), target["type"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    fn pair(id: &str, kind: &str) -> (String, String) {
        (id.to_owned(), kind.to_owned())
    }

    #[test]
    fn resources_come_first_and_nothing_twice() {
        let record = json!({
            "resources": [
                {"ARN": "arn:aws:s3:::b", "type": "AWS::S3::Bucket", "accountId": "1"},
                {"ARN": "arn:aws:s3:::b", "type": "AWS::S3::Bucket"},
                {"ARNPrefix": "arn:aws:s3:::b/", "type": "AWS::S3::Object"},
                {"ARN": "arn:aws:secretsmanager:us-east-1:1:secret:s"},
                {"type": "AWS::S3::Bucket"},
            ],
            "requestParameters": {"bucketName": "b", "key": "k", "policyArn": "arn:aws:s3:::b", "Host": "h"},
        });
        assert_eq!(
            pairs(&record, "GetObject", "s3", "read"),
            [
                pair("arn:aws:s3:::b", "s3_bucket"),
                pair("arn:aws:s3:::b/", "s3_object"),
                pair("arn:aws:secretsmanager:us-east-1:1:secret:s", "secretsmanager_secret"),
                pair("b/k", "s3_object"),
                pair("b", "s3_bucket"),
            ]
        );
    }

    #[test]
    fn lists_wrapped_requests_and_names() {
        let instances = json!({"requestParameters": {
            "instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]},
            "filterSet": {"items": [{"name": "vpc-id", "vpcId": "vpc-9"}]},
        }});
        let expected = [pair("i-1", "ec2_instance"), pair("i-2", "ec2_instance")];
        assert_eq!(pairs(&instances, "TerminateInstances", "ec2", "delete"), expected);
        let wrapped =
            json!({"requestParameters": {"DeleteNatGatewayRequest": {"NatGatewayId": "nat-1", "tag": 1}}});
        assert_eq!(pairs(&wrapped, "DeleteNatGateway", "ec2", "delete"), [pair("nat-1", "ec2_nat_gateway")]);
        let names = json!({"requestParameters": {"names": ["/a", "/b"], "withDecryption": true}});
        let expected = [pair("/a", "ssm_parameter"), pair("/b", "ssm_parameter")];
        assert_eq!(pairs(&names, "GetParameters", "ssm", "read"), expected);
        let trail = json!({"requestParameters": {"name": "t"}});
        assert_eq!(pairs(&trail, "StopLogging", "cloudtrail", "execute"), [pair("t", "cloudtrail_trail")]);
        let tags = json!({"requestParameters": {"resourceId": "/a", "resourceType": "Parameter"}});
        assert_eq!(pairs(&tags, "ListTagsForResource", "ssm", "read"), [pair("/a", "ssm_parameter")]);
    }

    #[test]
    fn a_created_thing_is_in_the_answer() {
        let record = json!({
            "requestParameters": {"userName": "alice"},
            "responseElements": {"accessKey": {"accessKeyId": "AKIA1", "userName": "alice", "status": "Active"}},
        });
        assert_eq!(
            pairs(&record, "CreateAccessKey", "iam", "create"),
            [pair("alice", "iam_user"), pair("AKIA1", "iam_access_key")]
        );
        assert_eq!(pairs(&record, "UpdateAccessKey", "iam", "update"), [pair("alice", "iam_user")]);
    }

    #[test]
    fn service_events_name_things_in_their_details() {
        let record = json!({
            "eventType": "AwsServiceEvent",
            "additionalEventData": {"SecretId": "arn:aws:secretsmanager:us-east-1:1:secret:s", "name": "s"},
        });
        assert_eq!(
            pairs(&record, "StartSecretVersionDelete", "secretsmanager", "delete"),
            [pair("arn:aws:secretsmanager:us-east-1:1:secret:s", "secretsmanager_secret")]
        );
        let record = json!({"eventType": "AwsServiceEvent", "serviceEventDetails": {"snapshotId": "snap-1"}});
        assert_eq!(
            pairs(&record, "SharedSnapshotVolumeCreated", "ec2", "create"),
            [pair("snap-1", "ec2_snapshot")]
        );
    }

    #[test]
    fn nothing_to_name_and_too_much_to_name() {
        let hidden = json!({"requestParameters": {"userName": HIDDEN, "roleName": "", "secretId": 7}});
        assert!(pairs(&hidden, "GetUser", "iam", "read").is_empty());
        assert!(pairs(&json!({"requestParameters": null}), "ListBuckets", "s3", "read").is_empty());
        let many: Vec<String> = (0..80).map(|n| format!("i-{n}")).collect();
        let record = json!({"requestParameters": {"instanceIds": many}});
        assert_eq!(pairs(&record, "SendCommand", "ssm", "execute").len(), MAX_TARGETS);
    }
}
