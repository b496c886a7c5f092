//! What kind of call a CloudTrail record is, and how it ended.

use serde_json::Value;

use super::text;

// Words separated by one space.
const CREATE: &str = "\
    Create Run Allocate Register Import Copy Clone Restore Issue Generate Request Purchase Provision \
    Upload Publish Launch Initiate";
const READ: &str = "\
    Get List Describe Head Search Lookup Query Scan Select Read View Download Filter Preview Estimate \
    Decrypt Encrypt Verify";
/// Adding to or taking from something that stays is a change of that thing: Add, Remove, Authorize, Revoke, Tag.
const UPDATE: &str = "\
    Update Modify Put Set Attach Detach Associate Disassociate Enable Disable Change Add Remove Tag \
    Untag Replace Reset Assign Unassign Authorize Revoke Grant Accept Reject Move Merge Rename Resize \
    Rotate Activate Deactivate Suspend Resume Lock Unlock Apply Upgrade Configure Edit Write Promote \
    Join Leave Invite Subscribe Unsubscribe Cancel Confirm Share Unshare Link Unlink Transfer Migrate \
    Complete Append Upsert Monitor Unmonitor Resync Switchover";
const DELETE: &str = "\
    Delete Terminate Deregister Release Destroy Purge Drop Retire Abort Expire Deprovision";
const EXECUTE: &str = "\
    Invoke Start Stop Execute Send Reboot Submit Test Trigger Signal Retry Rollback Deploy Failover \
    Sync Pause Refresh Replay Sign Simulate Force Begin Commit";

/// Calls that hand out a session or a credential. CloudTrail marks most of them read-only, and yet someone got in.
const ACCESS: &str = "\
    ConsoleLogin CheckMfa SwitchRole ExitRole RenewRole GetSessionToken GetFederationToken \
    GetSigninToken GetRoleCredentials GetCredentialsForIdentity GetOpenIdToken \
    GetOpenIdTokenForDeveloperIdentity UserAuthentication CredentialChallenge CredentialVerification \
    Authenticate Federate Logout InitiateAuth AdminInitiateAuth RespondToAuthChallenge \
    AdminRespondToAuthChallenge";

/// The event's `operation`.
pub fn operation(event_name: &str, event_kind: &str, read_only: Option<bool>) -> &'static str {
    if event_kind == "AwsConsoleSignIn"
        || ACCESS.split(' ').any(|known| known == event_name)
        || event_name.starts_with("AssumeRole")
    {
        return "access";
    }
    if read_only == Some(true) {
        return "read";
    }
    // Services name what they did themselves with the verb last: StartSecretVersionDelete, SharedSnapshotVolumeCreated.
    let ending = if event_kind == "AwsServiceEvent" { by_last_word(event_name) } else { None };
    ending
        .or_else(|| whole_name(event_name))
        .or_else(|| by_verb(event_name, read_only))
        .or_else(|| by_last_word(event_name))
        .unwrap_or("other")
}

/// Names whose first word misleads.
fn whole_name(event_name: &str) -> Option<&'static str> {
    match event_name {
        "Publish" | "PublishBatch" => Some("execute"),
        "ScheduleKeyDeletion" => Some("delete"),
        "CreateTags" | "DeleteTags" => Some("update"),
        _ => None,
    }
}

fn by_verb(event_name: &str, read_only: Option<bool>) -> Option<&'static str> {
    let mut rest = event_name;
    for prefix in ["Batch", "Admin", "Bulk"] {
        // Only before another word: BatchDeleteImage, not Batch.
        if let Some(after) =
            rest.strip_prefix(prefix).filter(|after| after.starts_with(|c: char| c.is_ascii_uppercase()))
        {
            rest = after;
        }
    }
    let verb = first_word(rest);
    let is_in = |verbs: &str| verbs.split(' ').any(|known| known.eq_ignore_ascii_case(verb));
    if is_in(CREATE) {
        Some("create")
    } else if is_in(UPDATE) {
        Some("update")
    } else if is_in(DELETE) {
        Some("delete")
    } else if is_in(EXECUTE) {
        Some("execute")
    } else if read_only.is_none() && is_in(READ) {
        // Where CloudTrail itself says "not read-only", a name such as Get… is no evidence of the contrary.
        Some("read")
    } else {
        None
    }
}

fn by_last_word(event_name: &str) -> Option<&'static str> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| event_name.ends_with(ending));
    if ends(&["Delete", "Deleted", "Deletion", "Terminated"]) {
        Some("delete")
    } else if ends(&["Create", "Created", "Creation", "Launched"]) {
        Some("create")
    } else if ends(&["Update", "Updated", "Modified", "Changed", "Rotation", "RotationSucceeded"]) {
        Some("update")
    } else {
        None
    }
}

/// `RunInstances` gives `Run`.
pub fn first_word(name: &str) -> &str {
    let end = name
        .char_indices()
        .skip(1)
        .find(|(_, c)| !c.is_ascii_lowercase())
        .map_or(name.len(), |(index, _)| index);
    &name[..end]
}

/// The event's `outcome`.
pub fn outcome(record: &Value, event_name: &str) -> &'static str {
    if let Some(code) = text(record, "/errorCode") {
        return if is_denied(code) { "denied" } else { "failure" };
    }
    // Sign-in events carry no error code: the answer repeats the event's name, e.g. {"ConsoleLogin": "Failure"}.
    let answer = record.get("responseElements").and_then(|elements| elements.get(event_name));
    if answer.and_then(Value::as_str) == Some("Failure") { "failure" } else { "success" }
}

/// Services spell "you may not" in many ways: AccessDeniedException, Client.UnauthorizedOperation, VpceAccessDenied,
/// UserNotAuthorized, AuthorizationError. A bad signature or an expired token is a failure: nobody was refused by a rule.
fn is_denied(code: &str) -> bool {
    const MARKS: &[&str] =
        &["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden", "AuthorizationError", "AuthFailure"];
    MARKS.iter().any(|mark| code.contains(mark))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn read_only_calls_read_unless_they_let_someone_in() {
        assert_eq!(operation("GetObject", "AwsApiCall", Some(true)), "read");
        assert_eq!(operation("Decrypt", "AwsApiCall", Some(true)), "read");
        assert_eq!(operation("AssumeRole", "AwsApiCall", Some(true)), "access");
        assert_eq!(operation("AssumeRoleWithSAML", "AwsApiCall", Some(true)), "access");
        assert_eq!(operation("GetSessionToken", "AwsApiCall", Some(true)), "access");
        assert_eq!(operation("CheckMfa", "AwsConsoleSignIn", Some(false)), "access");
    }

    #[test]
    fn the_verb_decides_for_the_rest() {
        for (name, expected) in [
            ("CreateBucket", "create"),
            ("RunInstances", "create"),
            ("RegisterImage", "create"),
            ("PutObject", "update"),
            ("AuthorizeSecurityGroupIngress", "update"),
            ("RevokeSecurityGroupIngress", "update"),
            ("LeaveOrganization", "update"),
            ("CreateTags", "update"),
            ("TagInstanceProfile", "update"),
            ("DeleteTrail", "delete"),
            ("DeregisterImage", "delete"),
            ("BatchDeleteImage", "delete"),
            ("AdminDeleteUser", "delete"),
            ("ScheduleKeyDeletion", "delete"),
            ("StopLogging", "execute"),
            ("SendCommand", "execute"),
            ("Publish", "execute"),
            ("PublishVersion", "create"),
            ("GetSomething", "other"),
            ("Runaway", "other"),
            ("Batch", "other"),
        ] {
            assert_eq!(operation(name, "AwsApiCall", Some(false)), expected, "{name}");
        }
    }

    #[test]
    fn without_a_read_only_flag_reading_verbs_count() {
        assert_eq!(operation("ListBuckets", "AwsApiCall", None), "read");
        assert_eq!(operation("BatchGetItem", "AwsApiCall", None), "read");
    }

    #[test]
    fn services_put_the_verb_last() {
        assert_eq!(operation("StartSecretVersionDelete", "AwsServiceEvent", Some(false)), "delete");
        assert_eq!(operation("SharedSnapshotVolumeCreated", "AwsApiCall", Some(false)), "create");
    }

    #[test]
    fn outcomes() {
        let of = |record: Value| outcome(&record, "ConsoleLogin");
        assert_eq!(of(json!({})), "success");
        assert_eq!(of(json!({"errorCode": ""})), "success");
        assert_eq!(of(json!({"errorCode": "NoSuchBucket"})), "failure");
        assert_eq!(of(json!({"errorCode": "Client.InvalidPermission.NotFound"})), "failure");
        for code in [
            "AccessDenied",
            "AccessDeniedException",
            "Client.UnauthorizedOperation",
            "UnauthorizedOperation",
            "UserNotAuthorized",
            "NotAuthorizedException",
            "AuthorizationErrorException",
        ] {
            assert_eq!(of(json!({"errorCode": code})), "denied", "{code}");
        }
        assert_eq!(of(json!({"responseElements": {"ConsoleLogin": "Failure"}})), "failure");
        assert_eq!(of(json!({"responseElements": {"ConsoleLogin": "Success"}})), "success");
        assert_eq!(of(json!({"responseElements": null})), "success");
    }
}
