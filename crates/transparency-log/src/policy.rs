//! Whom an auditor believes: logs, witnesses, and how many of these must have cosigned.
//! Source: <https://c2sp.org/tlog-policy>. What that has no lines for stands in comments, which others skip: keys of receipts,
//! `# receipt-key <key>`, and the offset of a log's first leaf where it is not 0, `# genesis <origin> <offset>`.

use std::collections::{HashMap, HashSet};

use audit_event::Offset;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, NoteError, StandardVerifier, Verifier, VerifierList};
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::cosignature::CosignatureVerifier;
use crate::key::VerifierKeys;

/// The most lines of each kind.
const MAX_LINES: usize = 10_000;
const RECEIPT_KEY: &str = "receipt-key";
const GENESIS: &str = "genesis";
const NO_QUORUM: &str = "none";

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    #[error("line {line} of the policy: {what}")]
    Line { line: usize, what: &'static str },
    #[error("the policy has no `quorum` line")]
    NoQuorum,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustError {
    #[error("not a signed checkpoint")]
    Malformed,
    #[error("the checkpoint of {origin} is signed by no log of the policy")]
    UnknownLog { origin: String },
    #[error("the signature of {name} is wrong: the checkpoint or the signature was altered")]
    Signature { name: String },
    #[error("the checkpoint of {origin} lacks the cosignatures that the policy's quorum asks for")]
    Quorum { origin: String },
}

/// A checkpoint that the policy accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Trusted {
    pub checkpoint: Checkpoint,
    /// The latest time at which a known witness saw it, in seconds since 1970.
    pub cosigned_at_s: Option<u64>,
}

/// A policy file.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    logs: Vec<String>,
    /// Name in the file, and verifier key.
    witnesses: Vec<(String, String)>,
    groups: HashMap<String, Group>,
    /// `None`: no cosignature is asked for.
    quorum: Option<String>,
    receipt_keys: VerifierKeys,
    /// The first offset of a log's trail, by origin.
    genesis: HashMap<String, Offset>,
}

#[derive(Debug, Clone)]
struct Group {
    needed: usize,
    members: Vec<String>,
}

/// What was seen while a file is read.
#[derive(Default)]
struct Reading {
    policy: Policy,
    has_quorum: bool,
    public_keys: HashSet<Vec<u8>>,
    members: HashSet<String>,
}

impl Policy {
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut reading = Reading::default();
        for (index, line) in text.split('\n').enumerate() {
            let at = |what| PolicyError::Line { line: index + 1, what };
            if index > MAX_LINES {
                return Err(at("too many lines"));
            }
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(at("control characters"));
            }
            reading.line(line).map_err(at)?;
        }
        if reading.has_quorum { Ok(reading.policy) } else { Err(PolicyError::NoQuorum) }
    }

    /// One log, and no witness asked for.
    pub(crate) fn of_log(key: &str) -> Self {
        Self { logs: vec![key.to_owned()], ..Self::default() }
    }

    /// The keys that receipts are believed under.
    pub fn receipt_keys(&self) -> &VerifierKeys {
        &self.receipt_keys
    }

    /// The offset whose record is leaf 0 of a log. A wrong one makes no proof right.
    pub fn genesis_of(&self, origin: &str) -> Offset {
        self.genesis.get(origin).copied().unwrap_or(Offset(0))
    }

    /// The names of the logs, which are their origins.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.iter().filter_map(|key| key.split('+').next())
    }

    /// Checks a signed checkpoint: by a log of the policy under its own origin, and with the quorum's cosignatures.
    pub fn check(&self, note: &str) -> Result<Trusted, TrustError> {
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| TrustError::Malformed)?;
        let text = std::str::from_utf8(note.text()).map_err(|_| TrustError::Malformed)?;
        let checkpoint = Checkpoint::parse(text).map_err(|_| TrustError::Malformed)?;
        let origin = || checkpoint.origin.clone();
        let unknown = || TrustError::UnknownLog { origin: origin() };
        let log = self.logs.iter().filter_map(|key| StandardVerifier::new(key).ok());
        let log: Vec<Box<dyn Verifier>> = log
            .filter(|log| log.name() == checkpoint.origin)
            .map(|log| Box::new(log) as Box<dyn Verifier>)
            .collect();
        if log.is_empty() {
            return Err(unknown());
        }
        note.verify(&VerifierList::new(log)).map_err(|error| not_verified(error, unknown()))?;
        let mut cosigned_at_s = None;
        let mut seen = HashSet::new();
        for (name, key) in &self.witnesses {
            let Some(witness) = witness(key) else { continue };
            // a bad cosignature is none: it takes nothing away from the others
            let verifiers = VerifierList::new(vec![Box::new(witness)]);
            let Ok((signatures, _)) = note.verify(&verifiers) else { continue };
            let times = signatures.iter().filter_map(|line| CosignatureVerifier::time_s(line.signature()));
            cosigned_at_s = cosigned_at_s.max(times.max());
            seen.insert(name.as_str());
        }
        let is_enough = self.quorum.as_ref().is_none_or(|name| self.has_seen(name, &seen));
        if is_enough {
            Ok(Trusted { checkpoint, cosigned_at_s })
        } else {
            Err(TrustError::Quorum { origin: origin() })
        }
    }

    /// Groups name what stands before them, so that this ends.
    fn has_seen(&self, name: &str, seen: &HashSet<&str>) -> bool {
        match self.groups.get(name) {
            None => seen.contains(name),
            Some(group) => {
                group.members.iter().filter(|member| self.has_seen(member, seen)).count() >= group.needed
            }
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.groups.contains_key(name) || self.witnesses.iter().any(|(known, _)| known == name)
    }
}

fn not_verified(error: NoteError, unknown: TrustError) -> TrustError {
    match error {
        NoteError::InvalidSignature { name, .. } => TrustError::Signature { name },
        _ => unknown,
    }
}

/// Name, algorithm and key of a verifier key.
fn parts_of(key: &str) -> Option<(&str, u8, Vec<u8>)> {
    let (name, rest) = key.split_once('+')?;
    let (id, bytes) = rest.split_once('+')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let is_right = format!("{:08x}", signed_note::key_id(name, &bytes)) == id;
    let (algorithm, public) = bytes.split_first()?;
    is_right.then(|| (name, *algorithm, public.to_vec()))
}

fn witness(key: &str) -> Option<CosignatureVerifier> {
    let (name, algorithm, public) = parts_of(key)?;
    CosignatureVerifier::of(name, algorithm, &public)
}

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            ["#", RECEIPT_KEY, key] => {
                let key = VerifierKeys::parse(key).map_err(|_| "no key of receipts")?;
                key.iter().for_each(|key| self.policy.receipt_keys.add(key));
                Ok(())
            }
            ["#", GENESIS, origin, offset] => {
                let offset =
                    offset.parse().ok().filter(|offset| *offset >= 0).ok_or("no offset of a genesis")?;
                self.policy.genesis.insert((*origin).to_owned(), Offset(offset));
                Ok(())
            }
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => {
                StandardVerifier::new(key).map_err(|_| "no key of a log; it is <origin>+<id>+<key>")?;
                self.unused(key, "two logs have the same key")?;
                self.policy.logs.push((*key).to_owned());
                Ok(())
            }
            ["witness", name, key] | ["witness", name, key, _] => {
                self.define(name)?;
                witness(key).ok_or("no key of a witness; Ed25519 cosignatures are known")?;
                self.unused(key, "a key stands here twice")?;
                self.policy.witnesses.push(((*name).to_owned(), (*key).to_owned()));
                Ok(())
            }
            ["group", name, needed, members @ ..] => self.group(name, needed, members),
            ["quorum", name] => {
                if std::mem::replace(&mut self.has_quorum, true) {
                    return Err("a second quorum");
                }
                if *name != NO_QUORUM && !self.policy.knows(name) {
                    return Err("the quorum names nobody who stands above");
                }
                self.policy.quorum = (*name != NO_QUORUM).then(|| (*name).to_owned());
                Ok(())
            }
            _ => Err("unknown; lines begin with log, witness, group, quorum or #"),
        }
    }

    fn define(&self, name: &str) -> Result<(), &'static str> {
        if name == NO_QUORUM || self.policy.knows(name) { Err("the name is taken") } else { Ok(()) }
    }

    fn unused(&mut self, key: &str, fault: &'static str) -> Result<(), &'static str> {
        let (_, _, public) = parts_of(key).ok_or("no key")?;
        if self.public_keys.insert(public) { Ok(()) } else { Err(fault) }
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), &'static str> {
        self.define(name)?;
        for member in members {
            if !self.policy.knows(member) {
                return Err("a member of the group does not stand above");
            }
            if !self.members.insert((*member).to_owned()) {
                return Err("a member of the group is in a group already");
            }
        }
        let needed = match needed {
            "all" => members.len(),
            "any" => 1,
            number => number.parse().map_err(|_| "a group needs `all`, `any` or a number")?,
        };
        if !(1..=members.len()).contains(&needed) {
            return Err("a group needs from one to all of its members");
        }
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.policy.groups.insert(name.to_owned(), Group { needed, members });
        Ok(())
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
