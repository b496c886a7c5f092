use serde_json::{Value, json};

use super::*;

fn record(extra: Value) -> Value {
    let mut record = json!({
        "eventID": "0d1d4b3c-5b1e-4a53-9a0b-6c6c2f3f0a11",
        "eventTime": "2023-07-10T12:25:04Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "readOnly": true,
    });
    for (key, value) in extra.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn map(extra: Value) -> Value {
    map_record(&record(extra)).unwrap()
}

fn error(extra: Value) -> MapError {
    map_record(&record(extra)).unwrap_err()
}

#[test]
fn the_smallest_record() {
    assert_eq!(
        map(json!({})),
        json!({
            "event_id": "0d1d4b3c-5b1e-4a53-9a0b-6c6c2f3f0a11",
            "occurred_at": "2023-07-10T12:25:04Z",
            "event_type": "aws.s3.GetObject",
            "operation": "read",
            "outcome": "success",
            "message": "unknown called s3.GetObject",
            "actor": {"id": "unknown", "type": "unknown"},
            "targets": [],
            "source": {"service": "s3.amazonaws.com"},
            "attributes": {"read_only": "true"},
        })
    );
}

#[test]
fn what_an_event_cannot_do_without() {
    assert_eq!(map_record(&json!([])).unwrap_err(), MapError::NotAnObject);
    assert_eq!(error(json!({"eventID": null})), MapError::Missing { field: "/eventID" });
    assert_eq!(error(json!({"eventID": "7"})), MapError::NotUuid { field: "/eventID" });
    assert_eq!(error(json!({"eventTime": "yesterday"})), MapError::NotTime { field: "/eventTime" });
    assert_eq!(error(json!({"eventName": ""})), MapError::Missing { field: "/eventName" });
    let wrong = error(json!({"eventSource": 5}));
    assert_eq!(wrong, MapError::NotText { field: "/eventSource" });
    assert_eq!(wrong.to_string(), "/eventSource is not a text");
}

#[test]
fn one_spelling_for_an_id_and_a_time() {
    let event = map(
        json!({"eventID": "0D1D4B3C-5B1E-4A53-9A0B-6C6C2F3F0A11", "eventTime": "2023-07-10T14:25:04.120+02:00"}),
    );
    assert_eq!(event["event_id"], "0d1d4b3c-5b1e-4a53-9a0b-6c6c2f3f0a11");
    assert_eq!(event["occurred_at"], "2023-07-10T14:25:04.120+02:00");
}

#[test]
fn event_types_fit_the_trail() {
    let of = |source: &str, name: &str| map(json!({"eventSource": source, "eventName": name}));
    let of_type = |source: &str, name: &str| of(source, name)["event_type"].as_str().unwrap().to_owned();
    assert_eq!(
        of_type("resource-explorer-2.amazonaws.com", "ListIndexes"),
        "aws.resource-explorer-2.ListIndexes"
    );
    assert_eq!(of_type("s3.amazonaws.com.cn", "GetObject"), "aws.s3.GetObject");
    assert_eq!(of_type("my.partner source", "Put"), "aws.my_partner_source.Put");
    let odd = of("iot.amazonaws.com", "Certificate / Ünknown");
    assert_eq!(odd["event_type"], "aws.iot.Certificate____nknown");
    assert_eq!(odd["attributes"]["event_name"], "Certificate / Ünknown");
    let long = of(&"s".repeat(300), &"N".repeat(300));
    let event_type = long["event_type"].as_str().unwrap();
    assert_eq!(event_type.len(), 200);
    assert!(audit_event::event_type::is_well_formed(event_type));
    assert_eq!(long["attributes"]["event_name"], "N".repeat(300));
    assert_eq!(long["source"]["service"], "s".repeat(300));
    assert!(map(json!({}))["attributes"].get("event_name").is_none());
}

#[test]
fn actors() {
    let of = |identity: Value| map(json!({ "userIdentity": identity }))["actor"].clone();
    assert_eq!(
        of(
            json!({"type": "IAMUser", "arn": "arn:aws:iam::1:user/alice", "principalId": "AIDA", "userName": "alice",
                  "accessKeyId": "AKIA1", "sessionContext": {"sessionIssuer": {}}})
        ),
        json!({"id": "arn:aws:iam::1:user/alice", "type": "iam_user", "name": "alice", "session_id": "AKIA1"})
    );
    assert_eq!(
        of(
            json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/ops/bob", "accessKeyId": "ASIA1",
                  "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::1:role/ops", "userName": "ops"}}})
        ),
        json!({"id": "arn:aws:sts::1:assumed-role/ops/bob", "type": "assumed_role", "name": "ops",
               "session_id": "ASIA1", "on_behalf_of": "arn:aws:iam::1:role/ops"})
    );
    assert_eq!(of(json!({"type": "Root", "principalId": "1"})), json!({"id": "1", "type": "root"}));
    assert_eq!(
        of(json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"})),
        json!({"id": "ec2.amazonaws.com", "type": "aws_service"})
    );
    assert_eq!(
        of(json!({"accountId": "1", "invokedBy": "secretsmanager.amazonaws.com"})),
        json!({"id": "secretsmanager.amazonaws.com", "type": "aws_service"})
    );
    assert_eq!(
        of(json!({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"})),
        json!({"id": "ANONYMOUS_PRINCIPAL", "type": "aws_account"})
    );
    assert_eq!(
        of(json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}, "credentialId": "c"})),
        json!({"id": "u-1", "type": "identity_center_user", "on_behalf_of": "u-1"})
    );
    assert_eq!(of(json!({})), json!({"id": "unknown", "type": "unknown"}));
}

#[test]
fn sources() {
    let of = |extra: Value| map(extra)["source"].clone();
    assert_eq!(
        of(json!({"sourceIPAddress": "2001:db8::1", "userAgent": "aws-cli/2", "requestID": "r-1"})),
        json!({"ip": "2001:db8::1", "user_agent": "aws-cli/2", "request_id": "r-1", "service": "s3.amazonaws.com"})
    );
    assert_eq!(
        of(json!({"sourceIPAddress": "AWS Internal", "userAgent": ""})),
        json!({"host": "AWS Internal", "service": "s3.amazonaws.com"})
    );
}

#[test]
fn outcome_severity_and_message_agree() {
    let alice = json!({"type": "IAMUser", "arn": "arn:aws:iam::1:user/alice", "userName": "alice"});
    let event = map(json!({"userIdentity": alice, "errorCode": "AccessDenied", "errorMessage": "no"}));
    assert_eq!(event["outcome"], "denied");
    assert_eq!(event["severity"], "warning");
    assert_eq!(event["message"], "iam_user alice called s3.GetObject: AccessDenied");
    let event = map(json!({"userIdentity": alice, "errorCode": "NoSuchKey"}));
    assert_eq!((&event["outcome"], &event["severity"]), (&json!("failure"), &json!("notice")));
    let event = map(json!({"userIdentity": alice}));
    assert_eq!(event["message"], "iam_user alice called s3.GetObject");
    assert!(event.get("severity").is_none());
    let event = map(json!({
        "eventName": "ConsoleLogin", "eventSource": "signin.amazonaws.com", "eventType": "AwsConsoleSignIn",
        "errorMessage": "Failed authentication", "responseElements": {"ConsoleLogin": "Failure"}, "readOnly": false,
    }));
    assert_eq!((&event["outcome"], &event["operation"]), (&json!("failure"), &json!("access")));
    assert_eq!(event["message"], "unknown called signin.ConsoleLogin: Failed authentication");
}

#[test]
fn nothing_is_lost() {
    let event = map(json!({
        "awsRegion": "us-east-1", "recipientAccountId": "1", "eventCategory": "Management", "eventType": "AwsApiCall",
        "eventVersion": "1.08", "errorCode": "E", "errorMessage": "m", "requestParameters": {"b": [1, "x"], "a": null},
        "responseElements": null, "additionalEventData": {}, "tlsDetails": {"tlsVersion": "TLSv1.3"},
        "sharedEventID": "s", "managementEvent": false, "userIdentity": {"type": "Root"}, "vpcEndpointId": "vpce-1",
        "resources": [{"ARN": "arn:aws:s3:::b", "accountId": "1"}], "Somewhat New": 1.5, "apiVersion": "",
        "userAgent": 7, "dataClass": "phi", "errorcode": "low", "error_code": "twice",
    }));
    assert_eq!(
        event["attributes"],
        json!({
            "account_id": "1", "additional_event_data": "{}", "api_version": "", "aws_data_class": "phi",
            "aws_region": "us-east-1", "error_code": "E", "error_code_": "twice", "errorcode": "low",
            "error_message": "m", "event_category": "Management", "event_kind": "AwsApiCall", "event_version": "1.08",
            "management_event": "false", "read_only": "true", "request_parameters": r#"{"a":null,"b":[1,"x"]}"#,
            "resources": r#"[{"ARN":"arn:aws:s3:::b","accountId":"1"}]"#, "shared_event_id": "s",
            "somewhat_new": "1.5", "tls_details": r#"{"tlsVersion":"TLSv1.3"}"#, "user_agent": "7",
            "user_identity": r#"{"type":"Root"}"#, "vpc_endpoint_id": "vpce-1",
        })
    );
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let one = r#"{"eventName":"ListBuckets","eventID":"0d1d4b3c-5b1e-4a53-9a0b-6c6c2f3f0a11","awsRegion":"r",
        "eventTime":"2023-07-10T12:25:04Z","eventSource":"s3.amazonaws.com","requestParameters":{"x":1,"a":2}}"#;
    let two = r#"{"requestParameters":{"a":2,"x":1},"eventSource":"s3.amazonaws.com","awsRegion":"r",
        "eventID":"0d1d4b3c-5b1e-4a53-9a0b-6c6c2f3f0a11","eventTime":"2023-07-10T12:25:04Z","eventName":"ListBuckets"}"#;
    let mapped = |text: &str| map_record(&serde_json::from_str(text).unwrap()).unwrap().to_string();
    assert_eq!(mapped(one), mapped(two));
}
