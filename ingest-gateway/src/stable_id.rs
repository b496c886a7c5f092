//! Event ids that come out the same for every copy of an event: UUIDv8 (RFC 9562) of a SHA-256.

use audit_event::EventId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub fn stable_id(parts: &[&[u8]]) -> EventId {
    let mut hasher = Sha256::new();
    for part in parts {
        // lengths first, so that no two lists of parts look alike
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    EventId(Uuid::new_v8(bytes))
}
