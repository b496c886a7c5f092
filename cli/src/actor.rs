//! Who runs the command: what the operating system knows, and what may be said beside it.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Longer names are cut.
const MAX_BYTES: usize = 200;

/// The one who answers for a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// As it was said, or else the user of the operating system.
    pub id: String,
    pub os_user: String,
    pub host: Option<String>,
}

impl Actor {
    pub fn of_this_process(said: Option<&str>) -> Self {
        let os_user = os_user();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            id: said.map_or_else(|| os_user.clone(), ToOwned::to_owned),
            os_user,
            host: host.map(|host| cut(host.trim())).filter(|host| !host.is_empty()),
        }
    }
}

/// By the process's own id: a variable such as USER says what its setter likes.
fn os_user() -> String {
    let Ok(process) = fs::metadata("/proc/self") else { return "unknown".to_owned() };
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&users, process.uid()).unwrap_or_else(|| format!("uid {}", process.uid()))
}

/// Source: passwd(5): `name:password:UID:…`.
fn name_in(users: &str, uid: u32) -> Option<String> {
    let is_user = |line: &&str| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(uid);
    let name = users.lines().find(is_user)?.split(':').next()?;
    (!name.is_empty()).then(|| cut(name))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_the_system_is_kept_beside_what_is_said() {
        let said = Actor::of_this_process(Some("ada, ticket 4711"));
        assert_eq!(said.id, "ada, ticket 4711");
        assert_eq!(Actor::of_this_process(None).id, said.os_user);
        let users = "root:x:0:0::/:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_in(users, 1000).as_deref(), Some("ada"));
        assert_eq!(name_in(users, 1), None);
    }
}
