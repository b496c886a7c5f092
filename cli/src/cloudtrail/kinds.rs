//! What an identifier in a CloudTrail record stands for: `<service>_<thing>`, the same whichever way it was named.

use super::operation::first_word;
use super::snake_case;

/// Request parameters that name a thing; `*` stands for the called service.
const BY_KEY: &[(&str, &str)] = &[
    ("accessKeyId", "iam_access_key"),
    ("alarmName", "cloudwatch_alarm"),
    ("aliasName", "kms_alias"),
    ("allocationId", "ec2_address"),
    ("associationId", "*_association"),
    ("attachmentId", "*_attachment"),
    ("autoScalingGroupName", "autoscaling_group"),
    ("bucket", "s3_bucket"),
    ("bucketName", "s3_bucket"),
    ("clusterName", "*_cluster"),
    ("commandId", "ssm_command"),
    ("dBClusterIdentifier", "rds_db_cluster"),
    ("dBClusterSnapshotIdentifier", "rds_db_cluster_snapshot"),
    ("dBInstanceIdentifier", "rds_db_instance"),
    ("dBParameterGroupName", "rds_db_parameter_group"),
    ("dBSnapshotIdentifier", "rds_db_snapshot"),
    ("dBSubnetGroupName", "rds_db_subnet_group"),
    ("detectorId", "guardduty_detector"),
    ("documentName", "ssm_document"),
    ("domainName", "*_domain"),
    ("functionName", "lambda_function"),
    ("gatewayId", "*_gateway"),
    ("groupName", "*_group"),
    ("hostedZoneId", "route53_hosted_zone"),
    ("imageId", "ec2_image"),
    ("instanceId", "ec2_instance"),
    ("instanceProfileName", "iam_instance_profile"),
    ("internetGatewayId", "ec2_internet_gateway"),
    ("keyId", "kms_key"),
    ("keyName", "ec2_key_pair"),
    ("kmsKeyId", "kms_key"),
    ("launchTemplateId", "ec2_launch_template"),
    ("layerName", "lambda_layer"),
    ("logGroupName", "logs_log_group"),
    ("logStreamName", "logs_log_stream"),
    ("natGatewayId", "ec2_nat_gateway"),
    ("networkAclId", "ec2_network_acl"),
    ("networkInterfaceId", "ec2_network_interface"),
    ("policyArn", "iam_policy"),
    ("policyName", "*_policy"),
    ("profileId", "*_profile"),
    ("queueName", "sqs_queue"),
    ("queueUrl", "sqs_queue"),
    ("repositoryName", "*_repository"),
    ("resourceId", "*_resource"),
    ("roleName", "iam_role"),
    ("routeTableId", "ec2_route_table"),
    ("ruleName", "*_rule"),
    ("secretId", "secretsmanager_secret"),
    ("securityGroupId", "ec2_security_group"),
    ("snapshotId", "ec2_snapshot"),
    ("stackName", "cloudformation_stack"),
    ("streamName", "*_stream"),
    ("subnetId", "ec2_subnet"),
    ("tableName", "dynamodb_table"),
    ("trailName", "cloudtrail_trail"),
    ("transitGatewayId", "ec2_transit_gateway"),
    ("trustAnchorId", "*_trust_anchor"),
    ("userName", "*_user"),
    ("volumeId", "ec2_volume"),
    ("vpcEndpointId", "ec2_vpc_endpoint"),
    ("vpcId", "ec2_vpc"),
    ("vpcPeeringConnectionId", "ec2_vpc_peering_connection"),
];

/// EC2 identifiers say themselves what they are, wherever they stand.
const BY_ID_PREFIX: &[(&str, &str)] = &[
    ("acl-", "ec2_network_acl"),
    ("ami-", "ec2_image"),
    ("eipalloc-", "ec2_address"),
    ("eni-", "ec2_network_interface"),
    ("i-", "ec2_instance"),
    ("igw-", "ec2_internet_gateway"),
    ("nat-", "ec2_nat_gateway"),
    ("rtb-", "ec2_route_table"),
    ("sg-", "ec2_security_group"),
    ("snap-", "ec2_snapshot"),
    ("subnet-", "ec2_subnet"),
    ("vol-", "ec2_volume"),
    ("vpc-", "ec2_vpc"),
];

/// The type of what parameter `key` names, where that is known. `key` begins with a lower-case letter.
pub fn of_parameter(key: &str, id: &str, service: &str) -> Option<String> {
    if let Some(kind) = of_arn(id) {
        return Some(kind);
    }
    if key == "groupName" && service == "ec2" {
        return Some("ec2_security_group".to_owned());
    }
    if matches!(key, "groupId" | "resourceId" | "gatewayId") {
        let by_prefix = BY_ID_PREFIX.iter().find(|(prefix, _)| id.starts_with(prefix));
        if let Some((_, kind)) = by_prefix {
            return Some((*kind).to_owned());
        }
    }
    let (_, kind) = BY_KEY.iter().find(|(known, _)| *known == key)?;
    Some(match kind.strip_prefix('*') {
        Some(thing) => format!("{}{thing}", snake_case(service)),
        None => (*kind).to_owned(),
    })
}

/// The type in a resource list, `AWS::S3::Bucket`, as `s3_bucket`.
pub fn of_resource_type(resource_type: &str) -> Option<String> {
    let mut parts = resource_type.strip_prefix("AWS::")?.split("::");
    let mut kind = parts.next()?.to_ascii_lowercase();
    for part in parts {
        kind.push('_');
        kind.push_str(&snake_case(part));
    }
    Some(kind)
}

/// `arn:partition:service:region:account:resource` as `<service>_<resource type>`.
pub fn of_arn(arn: &str) -> Option<String> {
    let mut parts = arn.strip_prefix("arn:")?.splitn(5, ':');
    let (_partition, service, _region, _account) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let resource = parts.next()?.trim_start_matches('/');
    let thing = resource.split_once(['/', ':']).map(|(thing, _)| thing);
    let kind = match (service, thing) {
        ("s3", None) => "s3_bucket".to_owned(),
        ("s3", Some("accesspoint" | "storage-lens" | "job")) => format!("s3_{}", snake_case(thing?)),
        ("s3", Some(_)) => "s3_object".to_owned(),
        ("sns", None) => "sns_topic".to_owned(),
        ("sqs", None) => "sqs_queue".to_owned(),
        ("rds", Some("db")) => "rds_db_instance".to_owned(),
        ("rds", Some("snapshot")) => "rds_db_snapshot".to_owned(),
        ("rds", Some("subgrp")) => "rds_db_subnet_group".to_owned(),
        ("rds", Some("cluster")) => "rds_db_cluster".to_owned(),
        (_, Some(thing)) => format!("{}_{}", snake_case(service), snake_case(thing)),
        (_, None) => format!("{}_resource", snake_case(service)),
    };
    Some(kind)
}

/// What the call is about, in the singular: `CreateFunction20150331` gives `function`, `GetParameters` `parameter`.
pub fn noun(event_name: &str) -> String {
    let rest = &event_name[first_word(event_name).len()..];
    let versioned = rest.find(|c: char| c.is_ascii_digit()).filter(|&at| {
        // A date at the end, as Lambda has it; not the digit in "Ec2" or "Http2".
        rest[at..].len() >= 8 && rest[at..].chars().take(8).all(|c| c.is_ascii_digit())
    });
    singular(&snake_case(&rest[..versioned.unwrap_or(rest.len())]))
}

/// Good enough for AWS's own words: policies, addresses, instances, access.
pub fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        format!("{stem}y")
    } else if let Some(stem) = word.strip_suffix("es").filter(|stem| stem.ends_with("ss")) {
        stem.to_owned()
    } else if let Some(stem) = word.strip_suffix('s').filter(|stem| !stem.ends_with('s')) {
        stem.to_owned()
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_name_their_type() {
        for (arn, expected) in [
            ("arn:aws:s3:::bucket", "s3_bucket"),
            ("arn:aws:s3:::bucket/a/b", "s3_object"),
            ("arn:aws:iam::1:role/service-role/x", "iam_role"),
            ("arn:aws:kms:us-east-1:1:key/0e5d", "kms_key"),
            ("arn:aws:secretsmanager:us-east-1:1:secret:x-AbC", "secretsmanager_secret"),
            ("arn:aws:lambda:us-east-1:1:function:f:live", "lambda_function"),
            ("arn:aws:rds:us-east-1:1:db:x", "rds_db_instance"),
            ("arn:aws:rolesanywhere:us-east-1:1:trust-anchor/4", "rolesanywhere_trust_anchor"),
            ("arn:aws-cn:sns:cn-north-1:1:news", "sns_topic"),
            ("arn:aws:execute-api:us-east-1:1:api/prod", "execute_api_api"),
        ] {
            assert_eq!(of_arn(arn).as_deref(), Some(expected), "{arn}");
        }
        assert_eq!(of_arn("bucket"), None);
        assert_eq!(of_arn("arn:aws:s3"), None);
    }

    #[test]
    fn parameters_and_resource_types() {
        assert_eq!(of_parameter("userName", "alice", "iam").as_deref(), Some("iam_user"));
        assert_eq!(of_parameter("groupName", "web", "ec2").as_deref(), Some("ec2_security_group"));
        assert_eq!(of_parameter("groupName", "ops", "iam").as_deref(), Some("iam_group"));
        assert_eq!(of_parameter("groupId", "sg-1", "ec2").as_deref(), Some("ec2_security_group"));
        assert_eq!(of_parameter("resourceId", "ami-1", "ec2").as_deref(), Some("ec2_image"));
        assert_eq!(of_parameter("resourceId", "x", "ssm").as_deref(), Some("ssm_resource"));
        assert_eq!(of_parameter("whatever", "arn:aws:iam::1:user/a", "sts").as_deref(), Some("iam_user"));
        assert_eq!(of_parameter("maxResults", "5", "ec2"), None);
        assert_eq!(of_resource_type("AWS::S3::Bucket").as_deref(), Some("s3_bucket"));
        assert_eq!(of_resource_type("AWS::RDS::DBInstance").as_deref(), Some("rds_db_instance"));
        assert_eq!(of_resource_type("bucket"), None);
    }

    #[test]
    fn nouns() {
        for (name, expected) in [
            ("CreateFunction20150331", "function"),
            ("AddPermission20150331v2", "permission"),
            ("RunInstances", "instance"),
            ("DescribeAddresses", "address"),
            ("ListPolicies", "policy"),
            ("CreateDBInstance", "db_instance"),
            ("Decrypt", ""),
        ] {
            assert_eq!(noun(name), expected, "{name}");
        }
    }
}
