//! Access as a ClickHouse users file (XML), for an engine that stores no users.

use super::analyst::{BOUNDS, Bound, Change, PROFILE, RowFilter, common_filters, tenant_filters};
use super::quote::xml_text;
use super::{Account, DatabaseName, PasswordHash};

/// The profile of the engine's own session.
const ENGINE_PROFILE: &str = "engine_session";

/// Renders the file. The accounts are let in from this machine only.
pub fn render(database: &DatabaseName, accounts: &[(Account, PasswordHash)]) -> String {
    let users: String =
        accounts.iter().map(|(account, password)| user(database, account, password)).collect();
    format!(
        "<clickhouse>\n  <profiles>\n    <default/>\n{}{}  </profiles>\n  <quotas><default/></quotas>\n  <users>\n{}{users}  </users>\n</clickhouse>\n",
        engine_profile(),
        analyst_profile(),
        engine_user()
    )
}

/// clickhouse-local works as `default` without a password, and opens the listeners as that. Its one session takes the
/// only place there is, so nobody else comes in under that name.
fn engine_profile() -> String {
    format!("    <{ENGINE_PROFILE}><max_sessions_for_user>1</max_sessions_for_user></{ENGINE_PROFILE}>\n")
}

fn engine_user() -> String {
    entry(
        "default",
        "<password></password>",
        ENGINE_PROFILE,
        &grants(["SYSTEM LISTEN ON *.*".to_owned(), "SELECT ON system.numbers".to_owned()]),
    )
}

fn analyst_profile() -> String {
    let values: String =
        BOUNDS.iter().map(|Bound { name, value, .. }| element(name, &value.to_string())).collect();
    let constraints = BOUNDS.iter().map(|bound| {
        let constraint = match bound.change {
            Change::Never => "<const/>".to_owned(),
            Change::Down => format!("<min>1</min><max>{}</max><changeable_in_readonly/>", bound.value),
        };
        format!("<{0}>{constraint}</{0}>", bound.name)
    });
    let constraints: String = constraints.collect();
    format!("    <{PROFILE}>{values}<constraints>{constraints}</constraints></{PROFILE}>\n")
}

fn user(database: &DatabaseName, account: &Account, password: &PasswordHash) -> String {
    let password = element("password_sha256_hex", password.as_hex());
    let granted = account.grants();
    let granted = granted
        .iter()
        .map(|(privilege, place)| format!("{} ON {}", privilege.as_str(), place.render(database)));
    match account {
        // without a list of grants a user of the file may do everything but manage access
        Account::Owner => entry(&account.user(), &password, "default", ""),
        Account::Processor | Account::QueryApi => {
            entry(&account.user(), &password, "default", &grants(granted))
        }
        Account::Analyst(tenant) => {
            let filters = [tenant_filters(database, tenant), common_filters(database)].concat();
            let rest = format!("{}{}", grants(granted), databases(&filters));
            entry(&account.user(), &password, PROFILE, &rest)
        }
    }
}

fn entry(name: &str, password: &str, profile: &str, rest: &str) -> String {
    format!(
        "    <{name}>{password}<networks><ip>127.0.0.1</ip><ip>::1</ip></networks>\
         <profile>{profile}</profile><quota>default</quota>{rest}</{name}>\n"
    )
}

fn grants(grants: impl IntoIterator<Item = String>) -> String {
    let queries: String =
        grants.into_iter().map(|grant| element("query", &format!("GRANT {grant}"))).collect();
    format!("<grants>{queries}</grants>")
}

fn databases(filters: &[RowFilter]) -> String {
    let groups = filters.chunk_by(|a, b| a.database == b.database).map(|group| {
        let tables: String = group
            .iter()
            .map(|filter| format!("<{0}>{1}</{0}>", filter.table, element("filter", &filter.condition)))
            .collect();
        format!("<{0}>{tables}</{0}>", group[0].database)
    });
    format!("<databases>{}</databases>", groups.collect::<String>())
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", xml_text(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(accounts: &[Account]) -> String {
        let accounts: Vec<_> =
            accounts.iter().map(|account| (account.clone(), PasswordHash::of("secret"))).collect();
        render(&"sealtrail".parse().expect("a name"), &accounts)
    }

    /// The names of open elements at each end; fails where one closes that is not the last opened.
    fn is_well_formed(xml: &str) -> bool {
        let mut open = Vec::new();
        for tag in xml.split('<').skip(1) {
            let Some((name, _)) = tag.split_once('>') else { return false };
            match name.strip_prefix('/') {
                Some(name) if open.pop() != Some(name) => return false,
                None if !name.ends_with('/') => open.push(name),
                _ => {}
            }
        }
        open.is_empty()
    }

    #[test]
    fn services_get_what_they_had_and_see_every_row() {
        let xml = rendered(&Account::SERVICES);
        assert!(is_well_formed(&xml), "{xml}");
        let line = |user: &str| xml.lines().find(|line| line.contains(&format!("<{user}>"))).expect("a user");
        assert!(!line("sealtrail").contains("<grants>"), "the owner may do everything");
        for grant in [
            "SELECT ON sealtrail.*",
            "INSERT ON sealtrail.*",
            "SELECT ON system.processes",
            "SELECT ON system.parts",
        ] {
            assert!(
                line("sealtrail_processor").contains(&format!("<query>GRANT {grant}</query>")),
                "{grant}"
            );
        }
        assert!(!line("sealtrail_query_api").contains("INSERT"));
        assert!(!xml.contains("<filter>") && !xml.contains("secret<"), "{xml}");
    }

    #[test]
    fn the_engines_own_user_has_room_for_one_session() {
        let xml = rendered(&[]);
        assert!(xml.contains("<engine_session><max_sessions_for_user>1<"));
        assert!(xml.contains("<default><password></password>") && xml.contains("<profile>engine_session<"));
    }

    proptest! {
        #[test]
        fn any_tenants_analyst_is_bounded_and_filtered(id in "[a-z0-9][a-z0-9_-]{0,63}") {
            let xml = rendered(&[Account::Owner, Account::Analyst(id.parse().expect("a tenant"))]);
            prop_assert!(is_well_formed(&xml), "{}", xml);
            for table in super::super::analyst::TABLES {
                let filter = format!("<{table}><filter>tenant_id = '{id}'</filter></{table}>");
                prop_assert!(xml.contains(&filter));
            }
            prop_assert!(xml.contains("<mergeTreeTextIndex><filter>0</filter>"));
            let user = format!("<analyst_{id}><password_sha256_hex>");
            prop_assert!(xml.contains(&user));
            prop_assert!(xml.contains("<profile>sealtrail_analyst</profile>"));
        }
    }
}
