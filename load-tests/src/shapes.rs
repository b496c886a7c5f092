//! The matter that a load's events are made of.

/// What the events of one type of the catalogue have in common.
pub struct Shape {
    pub event_type: &'static str,
    pub usual: &'static str,
    pub seldom: &'static str,
    pub actor_type: &'static str,
    pub target_type: &'static str,
    pub targets: u32,
    pub service: &'static str,
    pub changes: bool,
    pub did: &'static str,
}

/// In this order: event type, usual and seldom outcome, actor type, target type, targets, service, changes, message.
pub const SHAPES: &[Shape] = &[
    shape("user.login", ["success", "failure"], "user", ("session", 1), "identity", false, "signed in to"),
    shape(
        "user.login_failed",
        ["failure", "denied"],
        "user",
        ("session", 1),
        "identity",
        false,
        "gave a wrong password for",
    ),
    shape(
        "user.role_assigned",
        ["success", "denied"],
        "user",
        ("role", 2),
        "identity",
        true,
        "assigned the role",
    ),
    shape(
        "user.updated",
        ["success", "failure"],
        "user",
        ("profile", 1),
        "identity",
        true,
        "changed the profile",
    ),
    shape("data.read", ["success", "denied"], "user", ("record", 1), "records-api", false, "looked at"),
    shape("data.updated", ["success", "failure"], "user", ("invoice", 1), "billing-api", true, "corrected"),
    shape(
        "data.exported",
        ["success", "denied"],
        "user",
        ("dataset", 1),
        "export",
        false,
        "took out a copy of",
    ),
    shape(
        "data.deleted",
        ["success", "failure"],
        "service",
        ("archive", 2),
        "retention",
        false,
        "deleted at the end of its time",
    ),
    shape("api.request", ["success", "failure"], "service", ("endpoint", 1), "edge", false, "called"),
    shape("api.key_rotated", ["success", "failure"], "service", ("key", 1), "vault", true, "rotated"),
    shape(
        "agent.tool_called",
        ["success", "failure"],
        "agent",
        ("tool", 1),
        "agents",
        false,
        "called the tool",
    ),
    shape("agent.step", ["success", "failure"], "agent", ("step", 1), "agents", false, "finished the step"),
    shape("system.config_changed", ["success", "failure"], "service", ("setting", 1), "deploy", true, "set"),
    shape(
        "security.access_denied",
        ["denied", "denied"],
        "user",
        ("vault", 1),
        "identity",
        false,
        "was kept out of",
    ),
    shape(
        "compliance.control_checked",
        ["success", "failure"],
        "service",
        ("control", 1),
        "audit",
        false,
        "checked",
    ),
    shape("test.case_passed", ["success", "failure"], "service", ("case", 1), "ci", false, "passed"),
];

const fn shape(
    event_type: &'static str,
    [usual, seldom]: [&'static str; 2],
    actor_type: &'static str,
    (target_type, targets): (&'static str, u32),
    service: &'static str,
    changes: bool,
    did: &'static str,
) -> Shape {
    Shape { event_type, usual, seldom, actor_type, target_type, targets, service, changes, did }
}

pub const FIRST_NAMES: [&str; 8] =
    ["Amira", "Björn", "Chidi", "Dolores", "Emeka", "Fatma", "Grace", "Hiroshi"];
pub const LAST_NAMES: [&str; 9] =
    ["Haddad", "Lindqvist", "Okafor", "Marín", "Yılmaz", "Hopper", "Tanaka", "Novak", "O'Brien"];
pub const REGIONS: [&str; 4] = ["eu-central-1", "eu-west-3", "us-east-2", "ap-south-1"];
pub const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_1) Safari/605.1",
    "okhttp/5.3.0",
    "billing-worker/4.18 (linux; amd64)",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_in_the_catalogue() {
        let catalogue = include_str!("../../schemas/catalogue/event_types.toml");
        for shape in SHAPES {
            assert!(catalogue.contains(&format!("name = \"{}\"", shape.event_type)), "{}", shape.event_type);
        }
    }
}
