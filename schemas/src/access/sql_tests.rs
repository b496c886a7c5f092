use super::*;
use crate::access::analyst::CLOSED_FUNCTIONS;

fn tenant(id: &str) -> TenantId {
    id.parse().expect("a tenant")
}

fn database() -> DatabaseName {
    "sealtrail".parse().expect("a name")
}

fn position(statements: &[String], beginning: &str) -> usize {
    let found = statements.iter().position(|statement| statement.starts_with(beginning));
    found.unwrap_or_else(|| panic!("no {beginning} in {statements:#?}"))
}

#[test]
fn an_analyst_may_read_only_when_every_filter_stands() {
    let statements =
        SqlRenderer::new(&database(), None).create_analyst(&tenant("team-1"), &PasswordHash::of("secret"));
    let last = statements.last().expect("statements");
    assert_eq!(last, "GRANT `sealtrail_analyst` TO `analyst_team-1`");
    for table in TABLES {
        let filter = format!(
            "CREATE ROW POLICY OR REPLACE `analyst_team-1` ON sealtrail.{table} FOR SELECT \
             USING tenant_id = 'team-1' AS RESTRICTIVE TO `analyst_team-1`"
        );
        assert!(position(&statements, &filter) > position(&statements, "CREATE USER"));
    }
    for function in CLOSED_FUNCTIONS {
        position(
            &statements,
            &format!(
                "CREATE ROW POLICY OR REPLACE `sealtrail_analyst` ON _table_function.{function} FOR SELECT USING 0 AS RESTRICTIVE"
            ),
        );
    }
    let to_users = statements.iter().filter(|s| s.starts_with("GRANT") && s.ends_with("TO `analyst_team-1`"));
    assert_eq!(to_users.count(), 1, "no right but by the role");
}

#[test]
fn whoever_is_not_an_analyst_keeps_every_row() {
    let statements =
        SqlRenderer::new(&database(), None).create_analyst(&tenant("demo"), &PasswordHash::of("secret"));
    let tables = |kind: &str| {
        let mut tables: Vec<_> = statements
            .iter()
            .filter(|statement| statement.contains(kind))
            .map(|statement| {
                statement.split(" ON ").nth(1).expect("a table").split(' ').next().expect("a word")
            })
            .collect();
        tables.sort_unstable();
        tables
    };
    let filtered = tables("AS RESTRICTIVE");
    assert_eq!(filtered.len(), TABLES.len() + CLOSED_FUNCTIONS.len() + 2);
    assert_eq!(tables("USING 1 AS PERMISSIVE TO ALL"), filtered);
}

#[test]
fn the_password_goes_as_its_hash_and_the_bounds_with_their_limits() {
    let statements =
        SqlRenderer::new(&database(), None).create_analyst(&tenant("demo"), &PasswordHash::of("test"));
    let all = statements.join(";\n");
    assert!(!all.contains("'test'"));
    let login =
        "IDENTIFIED WITH sha256_hash BY '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'";
    assert!(all.contains(&format!("CREATE USER IF NOT EXISTS `analyst_demo` {login}")), "{all}");
    assert!(all.contains("readonly = 1 CONST, max_execution_time = 60 MIN 1 MAX 60 CHANGEABLE_IN_READONLY"));
    assert!(!all.contains("CREATE USER OR REPLACE") && !all.contains("PROFILE OR REPLACE"));
}

#[test]
fn on_a_cluster_every_statement_says_so() {
    let database = database();
    let renderer = SqlRenderer::new(&database, Some("main `x`"));
    let demo = tenant("demo");
    let statements = renderer.create_analyst(&demo, &PasswordHash::of("secret"));
    let statements = statements.into_iter().chain(renderer.service_roles());
    for statement in statements.chain(renderer.remove_analyst(&demo)) {
        assert!(statement.contains(r" ON CLUSTER `main \`x\``"), "{statement}");
    }
}

#[test]
fn services_get_roles_with_what_they_need() {
    let statements = SqlRenderer::new(&database(), None).service_roles();
    for wanted in [
        "GRANT ALL ON sealtrail.* TO `sealtrail_owner_role`",
        "GRANT INSERT ON sealtrail.* TO `sealtrail_processor_role`",
        "GRANT SELECT ON system.processes TO `sealtrail_processor_role`",
        "GRANT SELECT ON system.parts TO `sealtrail_processor_role`",
        "GRANT SELECT ON sealtrail.* TO `sealtrail_query_api_role`",
    ] {
        assert!(statements.contains(&wanted.to_owned()), "{wanted}");
    }
}

#[test]
fn a_user_goes_before_its_filters() {
    let statements = SqlRenderer::new(&database(), None).remove_analyst(&tenant("demo"));
    assert_eq!(statements[0], "DROP USER IF EXISTS `analyst_demo`");
    assert_eq!(statements[1], "DROP ROW POLICY IF EXISTS `analyst_demo` ON sealtrail.events");
    assert_eq!(statements.len(), 1 + TABLES.len());
}
