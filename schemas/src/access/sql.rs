//! Access as SQL, for a server that stores its users. Each statement can be run again.
//!
//! An order that a crash cannot turn into a leak: an analyst gets the role, and with it the first right to read, only
//! when the filters stand. Users and profiles are altered, never replaced: a replaced one has a new identity, which
//! the filters would not know.

use audit_event::TenantId;

use super::analyst::{BOUNDS, Change, PROFILE, ROLE, RowFilter, TABLES, common_filters, tenant_filters};
use super::quote::{identifier, literal};
use super::{Account, DatabaseName, PasswordHash};

/// Writes statements for one server, or for all of a cluster.
#[derive(Debug, Clone)]
pub struct SqlRenderer<'a> {
    database: &'a DatabaseName,
    /// ` ON CLUSTER …`, or nothing.
    on_cluster: String,
}

/// The policy that every table with a filter also has. Where a table has policies, a server may hide it from whoever
/// none of them names (`users_without_row_policies_can_read_rows`): a processor that sees no rows would insert them
/// again.
const ALL_ROWS: &str = "sealtrail_all_rows";

impl<'a> SqlRenderer<'a> {
    pub fn new(database: &'a DatabaseName, cluster: Option<&str>) -> Self {
        let on_cluster = cluster.map_or_else(String::new, |name| format!(" ON CLUSTER {}", identifier(name)));
        Self { database, on_cluster }
    }

    /// The roles of the services; their users are the administrator's to make.
    pub fn service_roles(&self) -> Vec<String> {
        Account::SERVICES.iter().flat_map(|account| self.role(account)).collect()
    }

    /// The analyst of a tenant with all that it stands on.
    pub fn create_analyst(&self, tenant: &TenantId, password: &PasswordHash) -> Vec<String> {
        let account = Account::Analyst(tenant.clone());
        let user = identifier(&account.user());
        let on = &self.on_cluster;
        let login = format!("IDENTIFIED WITH sha256_hash BY {}", literal(password.as_hex()));
        let profile = format!("SETTINGS PROFILE {}", literal(PROFILE));
        let mut statements = self.profile();
        statements.extend(self.role(&account));
        statements
            .extend(common_filters(self.database).iter().flat_map(|filter| self.filter(filter, ROLE, ROLE)));
        statements.push(format!("CREATE USER IF NOT EXISTS {user}{on} {login}"));
        statements.push(format!("ALTER USER {user}{on} {login} DEFAULT ROLE ALL {profile}"));
        statements.extend(
            tenant_filters(self.database, tenant)
                .iter()
                .flat_map(|filter| self.filter(filter, &account.user(), &account.user())),
        );
        statements.push(format!("GRANT{on} {} TO {user}", identifier(ROLE)));
        statements
    }

    /// Takes an analyst away; the role stays for the others.
    pub fn remove_analyst(&self, tenant: &TenantId) -> Vec<String> {
        let user = identifier(&Account::Analyst(tenant.clone()).user());
        let (on, database) = (&self.on_cluster, self.database);
        let policies =
            TABLES.iter().map(|table| format!("DROP ROW POLICY IF EXISTS {user}{on} ON {database}.{table}"));
        // the user first: without its filters it would see everything
        std::iter::once(format!("DROP USER IF EXISTS {user}{on}")).chain(policies).collect()
    }

    fn role(&self, account: &Account) -> Vec<String> {
        let (on, role) = (&self.on_cluster, identifier(account.role()));
        let grants = account.grants().into_iter().map(|(privilege, place)| {
            format!("GRANT{on} {} ON {} TO {role}", privilege.as_str(), place.render(self.database))
        });
        std::iter::once(format!("CREATE ROLE IF NOT EXISTS {role}{on}")).chain(grants).collect()
    }

    fn profile(&self) -> Vec<String> {
        let (on, profile) = (&self.on_cluster, identifier(PROFILE));
        let settings = BOUNDS.iter().map(|bound| match bound.change {
            Change::Never => format!("{} = {} CONST", bound.name, bound.value),
            Change::Down => {
                format!(
                    "{} = {value} MIN 1 MAX {value} CHANGEABLE_IN_READONLY",
                    bound.name,
                    value = bound.value
                )
            }
        });
        let settings: Vec<_> = settings.collect();
        vec![
            format!("CREATE SETTINGS PROFILE IF NOT EXISTS {profile}{on}"),
            format!("ALTER SETTINGS PROFILE {profile}{on} SETTINGS {}", settings.join(", ")),
        ]
    }

    /// All rows for all, and for `to` only those of the filter: a restriction holds whatever else is permitted.
    fn filter(&self, filter: &RowFilter, policy: &str, to: &str) -> [String; 2] {
        let on = &self.on_cluster;
        let table = format!("{}.{}", filter.database, filter.table);
        let policy_on = |name: &str| {
            format!("CREATE ROW POLICY OR REPLACE {}{on} ON {table} FOR SELECT", identifier(name))
        };
        [
            format!("{} USING 1 AS PERMISSIVE TO ALL", policy_on(ALL_ROWS)),
            format!("{} USING {} AS RESTRICTIVE TO {}", policy_on(policy), filter.condition, identifier(to)),
        ]
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
