//! The users of the local engine: Sealtrail's own, and the analysts that were asked for. The passwords are files beside
//! the data; the engine reads their hashes out of its users file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use audit_event::TenantId;
use schemas::access::{Account, PasswordHash, users_file};

use crate::clickhouse::DATABASE;
use crate::layout::{Layout, write_private};
use crate::services::Login;

const ANALYST_SECRET: &str = "clickhouse-analyst-";

/// Who may log in, with which password.
pub struct Accounts(Vec<(Account, String)>);

impl Accounts {
    /// Reads the passwords, and makes those of the services where they are missing.
    pub fn read(layout: &Layout) -> anyhow::Result<Self> {
        let mut accounts = vec![
            (Account::Owner, layout.secret("clickhouse-owner")?),
            (Account::Processor, layout.secret("clickhouse-processor")?),
            (Account::QueryApi, layout.secret("clickhouse-query-api")?),
        ];
        for tenant in analysts(&layout.secret_file(""))? {
            let password = layout.secret(&format!("{ANALYST_SECRET}{tenant}"))?;
            accounts.push((Account::Analyst(tenant), password));
        }
        Ok(Self(accounts))
    }

    pub fn login(&self, account: &Account) -> anyhow::Result<Login> {
        let found = self.0.iter().find(|(known, _)| known == account);
        let (account, password) = found.with_context(|| format!("{} has no password", account.user()))?;
        Ok(Login { user: account.user(), password: password.clone() })
    }

    /// Writes the users file; answers where it is, and whether it says something new.
    pub fn write(&self, layout: &Layout) -> anyhow::Result<(PathBuf, bool)> {
        let hashed: Vec<_> =
            self.0.iter().map(|(account, password)| (account.clone(), PasswordHash::of(password))).collect();
        let text = users_file::render(&DATABASE.parse()?, &hashed);
        let file = layout.secret_file("clickhouse-users.xml");
        let is_new = fs::read_to_string(&file).map_or(true, |before| before.trim_end() != text.trim_end());
        write_private(&file, &text)?;
        Ok((file, is_new))
    }
}

/// Makes the password of a tenant's analyst, once; the users file has to be written after it.
pub fn make_analyst(layout: &Layout, tenant: &TenantId) -> anyhow::Result<()> {
    layout.secret(&format!("{ANALYST_SECRET}{tenant}")).map(drop)
}

pub fn remove_analyst(layout: &Layout, tenant: &TenantId) -> anyhow::Result<()> {
    let file = layout.secret_file(&format!("{ANALYST_SECRET}{tenant}"));
    fs::remove_file(&file).with_context(|| format!("there is no analyst of {tenant}: {}", file.display()))
}

fn analysts(secrets: &Path) -> anyhow::Result<Vec<TenantId>> {
    let entries = fs::read_dir(secrets).with_context(|| format!("read {}", secrets.display()))?;
    let names = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
    let mut tenants: Vec<TenantId> =
        names.filter_map(|name| name.strip_prefix(ANALYST_SECRET)?.parse().ok()).collect();
    tenants.sort();
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::DirFlags;

    #[test]
    fn analysts_stay_and_their_passwords_are_not_in_the_users_file() {
        let dir = std::env::temp_dir().join(format!("sealtrail-accounts-{}", std::process::id()));
        let layout = Layout::create(&DirFlags { dir: dir.clone() }).expect("a layout");
        let tenant: TenantId = "team-1".parse().expect("a tenant");
        let before = Accounts::read(&layout).expect("accounts");
        assert!(before.login(&Account::Analyst(tenant.clone())).is_err());
        assert!(before.write(&layout).expect("written").1, "the first file is new");
        make_analyst(&layout, &tenant).expect("made");
        let after = Accounts::read(&layout).expect("accounts");
        let login = after.login(&Account::Analyst(tenant.clone())).expect("a login");
        let (file, is_new) = after.write(&layout).expect("written");
        assert!(is_new && login.user == "analyst_team-1");
        let text = fs::read_to_string(file).expect("a file");
        assert!(text.contains("<analyst_team-1>") && !text.contains(&login.password));
        make_analyst(&layout, &tenant).expect("made");
        let again = Accounts::read(&layout).expect("accounts");
        assert_eq!(again.login(&Account::Analyst(tenant)).expect("a login").password, login.password);
        assert!(!again.write(&layout).expect("written").1, "nothing has changed");
        let tenant = "team-1".parse().expect("a tenant");
        remove_analyst(&layout, &tenant).expect("removed");
        assert!(Accounts::read(&layout).expect("accounts").write(&layout).expect("written").1);
        assert!(remove_analyst(&layout, &tenant).is_err(), "nobody is there");
        fs::remove_dir_all(dir).expect("removed");
    }
}
