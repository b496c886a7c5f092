//! What `analysts` answers.

use std::path::PathBuf;

use audit_event::TenantId;
use serde::Serialize;

use crate::output::{self, Show};

/// An analyst just made.
#[derive(Debug, Serialize)]
pub struct NewAnalyst {
    pub tenant_id: TenantId,
    pub user: String,
    pub password: Option<String>,
    pub file: Option<PathBuf>,
}

impl Show for NewAnalyst {
    fn text(&self) -> String {
        match (&self.password, &self.file) {
            (Some(password), _) => format!("user {}, password {password}", self.user),
            (None, Some(file)) => format!("user {}, password in {}", self.user, file.display()),
            (None, None) => format!("user {}", self.user),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct AnalystView {
    pub tenant_id: TenantId,
    pub user: String,
    pub storage: String,
}

#[derive(Debug, Serialize)]
pub struct Analysts {
    pub analysts: Vec<AnalystView>,
}

impl Show for Analysts {
    fn text(&self) -> String {
        let row = |a: &AnalystView| [a.tenant_id.to_string(), a.user.clone(), a.storage.clone()];
        output::table(["tenant", "user", "storage"], self.analysts.iter().map(row))
    }
}

#[derive(Debug, Serialize)]
pub struct Removed {
    pub tenant_id: TenantId,
    pub user: String,
    pub removed: bool,
}

impl Show for Removed {
    fn text(&self) -> String {
        format!("{} is gone", self.user)
    }
}

#[derive(Debug, Serialize)]
pub struct Statements {
    pub statements: Vec<String>,
}

impl Show for Statements {
    fn text(&self) -> String {
        self.statements.iter().map(|statement| format!("{statement};\n")).collect()
    }
}
