//! The user agent: which program, operating system and device it names.

use std::sync::Arc;

use ::schemas::columns::UserAgentColumns;
use user_agents::{Parser, UserAgent};

use super::{Looked, Lookup};

impl Lookup<UserAgent> for Parser {
    fn look_up(&self, text: &str) -> Looked<UserAgent> {
        self.parse(text).into()
    }
}

/// Prepares the rules off the threads that serve. `None` where that fails, which the log says.
pub async fn prepare() -> Option<Arc<dyn Lookup<UserAgent>>> {
    match tokio::task::spawn_blocking(Parser::new).await {
        Ok(Ok(parser)) => Some(Arc::new(parser)),
        Ok(Err(error)) => {
            tracing::error!(%error, "user agents are not enriched");
            None
        }
        Err(error) => {
            tracing::error!(%error, "user agents are not enriched");
            None
        }
    }
}

pub fn columns(agent: &UserAgent) -> UserAgentColumns<'_> {
    UserAgentColumns {
        name: &agent.name,
        version: &agent.version,
        os_name: &agent.os_name,
        os_version: &agent.os_version,
        device_name: &agent.device_name,
    }
}
