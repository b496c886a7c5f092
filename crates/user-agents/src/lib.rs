//! What a user agent says of itself: a program, an operating system, a device. Pure and without a memory: the same text
//! gives the same answer, in time that grows with its length only, which is bounded here.

mod rules;

use std::sync::LazyLock;

use ua_parser::{Extractor, os, user_agent};

/// More of a text is not looked at. CloudTrail keeps 1 KiB; web servers refuse headers of more than 4 to 8.
pub const MAX_USER_AGENT_BYTES: usize = 1_024;
/// A name or a version is cut here: a column of few different values must stay one.
pub const MAX_NAME_BYTES: usize = 64;

/// What uap-core calls a device that is none: crawlers, libraries, command lines.
const NO_DEVICE: [&str; 2] = ["Spider", "Other"];

/// The parts that are known; the others are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// The program, as in `Firefox` or `aws-cli`.
    pub name: String,
    /// Up to four parts, joined by dots.
    pub version: String,
    pub os_name: String,
    pub os_version: String,
    /// As in `iPhone` or `Samsung SM-G960F`.
    pub device_name: String,
}

/// The rules take about 27 MiB and a tenth of a second to prepare, so a process prepares them once.
static RULES: LazyLock<Result<Extractor<'static>, String>> = LazyLock::new(rules::load);

/// The rules are unusable: a fault of the build, which its tests find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesError(&'static str);

impl std::fmt::Display for RulesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the rules for user agents cannot be prepared: {}", self.0)
    }
}

impl std::error::Error for RulesError {}

/// Prepared rules.
#[derive(Clone, Copy)]
pub struct Parser {
    rules: &'static Extractor<'static>,
}

impl Parser {
    /// Prepares the rules where no one did; that takes about a tenth of a second.
    pub fn new() -> Result<Self, RulesError> {
        RULES.as_ref().map(|rules| Self { rules }).map_err(|why| RulesError(why))
    }

    /// `None` where nothing is known.
    pub fn parse(&self, text: &str) -> Option<UserAgent> {
        let text = head(text, MAX_USER_AGENT_BYTES);
        let mut found = UserAgent::default();
        if let Some(agent) = self.rules.ua.extract(text) {
            found.version = version_of(&agent);
            found.name = short(&agent.family);
        }
        if let Some(os) = self.rules.os.extract(text) {
            found.os_version = os_version_of(&os);
            found.os_name = short(&os.os);
        }
        if let Some(device) = self.rules.dev.extract(text)
            && !NO_DEVICE.contains(&&*device.device)
        {
            found.device_name = short(&device.device);
        }
        (found != UserAgent::default()).then_some(found)
    }
}

fn version_of(agent: &user_agent::ValueRef<'_>) -> String {
    joined([agent.major, agent.minor, agent.patch, agent.patch_minor])
}

fn os_version_of(os: &os::ValueRef<'_>) -> String {
    joined([os.major.as_deref(), os.minor.as_deref(), os.patch.as_deref(), os.patch_minor.as_deref()])
}

/// Up to the first part that is not there.
fn joined(parts: [Option<&str>; 4]) -> String {
    let known: Vec<_> = parts.into_iter().map_while(|part| part.filter(|text| !text.is_empty())).collect();
    short(&known.join("."))
}

fn short(text: &str) -> String {
    head(text.trim(), MAX_NAME_BYTES).to_owned()
}

/// At most so many bytes, whole characters.
pub fn head(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests;
