//! ClickHouse as one of the stack's users.

use std::fs;

use clickhouse_io::{ClickHouse, ClickHouseConfig};
use client_security::Secret;

use crate::stack::Stack;

/// A user's way in, over HTTP.
#[derive(Debug, Clone)]
pub struct Login {
    pub base: String,
    pub user: String,
    pub password: String,
}

impl Login {
    /// The user whose password the stack keeps under this name.
    pub fn of(stack: &Stack, user: &str, secret: &str) -> Self {
        let (base, _) = stack.var("SEALTRAIL_CLICKHOUSE_URL").split_once("/?").expect("a query string");
        let password = fs::read_to_string(stack.dir.join("secrets").join(secret)).expect("a password");
        Self { base: base.to_owned(), user: user.to_owned(), password: password.trim().to_owned() }
    }

    pub fn analyst(stack: &Stack, tenant: &str) -> Self {
        Self::of(stack, &format!("analyst_{tenant}"), &format!("clickhouse-analyst-{tenant}"))
    }

    /// As the variables of demo.env hold it.
    pub fn url(&self) -> String {
        format!("{}/?database=sealtrail&user={}&password={}", self.base, self.user, self.password)
    }

    /// Our own client as this user.
    pub fn engine(&self) -> ClickHouse {
        self.engine_in("sealtrail")
    }

    pub fn engine_in(&self, database: &str) -> ClickHouse {
        let config = ClickHouseConfig {
            url: self.base.clone(),
            database: database.to_owned(),
            user: self.user.clone(),
            password: Some(Secret::new(self.password.clone())),
            ..ClickHouseConfig::default()
        };
        ClickHouse::new(&config).expect("the settings are right")
    }

    /// The answer, or ClickHouse's error code.
    pub async fn ask(&self, sql: &str) -> Result<String, u32> {
        let request = reqwest::Client::new().post(self.url()).body(sql.to_owned());
        let answer = request.send().await.expect("clickhouse answers");
        let code = answer.headers().get("x-clickhouse-exception-code").cloned();
        let text = answer.text().await.expect("text");
        match code {
            None => Ok(text.trim_end().to_owned()),
            Some(code) => Err(code.to_str().ok().and_then(|code| code.parse().ok()).expect("a number")),
        }
    }
}
