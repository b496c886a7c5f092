//! The keys of a trail's logs. All come from one secret: each log has a key of its own, since a policy file names no key
//! twice, and who keeps one secret cannot lose the others.

use audit_event::{PartitionId, TrailId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::checkpoint::origin_of;
use crate::cosignature::Witness;
use crate::key::{KeyError, SigningKey};

const PREFIX: &str = "SEALTRAIL+LOG+KEY";
/// What the name of the log's own witness ends with.
const HEARTBEAT: &str = "heartbeat";

/// The secret of a sealer, with the name that its logs begin with. Never printed.
#[derive(Clone)]
pub struct LogSecret {
    name: String,
    seed: [u8; 32],
}

impl LogSecret {
    pub fn of_seed(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        crate::key::check_name(name)?;
        Ok(Self { name: name.to_owned(), seed })
    }

    /// `SEALTRAIL+LOG+KEY+<name>+<base64 of 32 bytes>`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim().strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('+'));
        let (name, seed) = rest.and_then(|rest| rest.split_once('+')).ok_or(KeyError::Log)?;
        let seed = STANDARD.decode(seed).ok().and_then(|seed| seed.try_into().ok()).ok_or(KeyError::Log)?;
        Self::of_seed(name, seed)
    }

    /// As it is kept in its file.
    pub fn secret_text(&self) -> String {
        format!("{PREFIX}+{}+{}", self.name, STANDARD.encode(self.seed))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs the checkpoints of one partition's log; its name is the log's origin.
    pub fn signing_key(&self, trail: TrailId, partition: PartitionId) -> Result<SigningKey, KeyError> {
        let origin = origin_of(&self.name, trail, partition);
        SigningKey::of_seed(&origin, &self.derived("checkpoint", &origin))
    }

    /// The log's own witness, whose cosignatures are the heartbeat.
    pub fn heartbeat(&self, trail: TrailId) -> Result<Witness, KeyError> {
        let name = format!("{}/{trail}/{HEARTBEAT}", self.name);
        Witness::of_seed(&name, &self.derived(HEARTBEAT, &name))
    }

    fn derived(&self, purpose: &str, name: &str) -> [u8; 32] {
        // HMAC takes a key of any length
        let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(&self.seed) else { unreachable!() };
        hmac.update(format!("sealtrail/{purpose}/v1\n{name}").as_bytes());
        hmac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for LogSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogSecret({}, …)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_has_its_own_key_and_the_same_one_again() {
        let secret = LogSecret::of_seed("example.com/audit", [9; 32]).expect("a secret");
        let again = LogSecret::parse(&(secret.secret_text() + "\n")).expect("a secret");
        let trail = TrailId(uuid::Uuid::nil());
        let key =
            |secret: &LogSecret, partition| secret.signing_key(trail, PartitionId(partition)).expect("a key");
        assert_eq!(key(&secret, 0).verifier(), key(&again, 0).verifier());
        assert_ne!(key(&secret, 0).secret_text(), key(&secret, 1).secret_text());
        assert_eq!(key(&secret, 1).name(), "example.com/audit/00000000-0000-0000-0000-000000000000/1");
        assert_eq!(
            secret.heartbeat(trail).expect("a witness").verifier(),
            again.heartbeat(trail).expect("a witness").verifier()
        );
        assert!(!format!("{secret:?}").contains(&STANDARD.encode([9; 32])));
        for bad in ["", "SEALTRAIL+LOG+KEY+a+AAAA", "SEALTRAIL+LOG+KEY+a b+", "PRIVATE+KEY+a+00000000+AAAA"] {
            assert!(LogSecret::parse(bad).is_err(), "{bad}");
        }
    }
}
