//! Timestamped cosignatures by Ed25519: that a checkpoint was the newest one at a time. Ours are the log's heartbeat.
//! Source: <https://c2sp.org/tlog-cosignature>, cosignature/v1.

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use signed_note::Verifier;

use crate::key::{KeyError, check_name, key_of};

/// The byte before an Ed25519 key that signs cosignatures.
const COSIGNATURE_V1: u8 = 4;
const TIME_BYTES: usize = 8;

/// Signs that it saw a checkpoint at a time.
pub struct Witness {
    name: String,
    key: SigningKey,
}

impl Witness {
    pub fn of_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// What others verify with.
    pub fn verifier(&self) -> String {
        key_of(&self.name, COSIGNATURE_V1, self.key.verifying_key().as_bytes())
    }

    /// The line that is added to a checkpoint, of whose text this is.
    pub fn cosign(&self, checkpoint_text: &str, time_s: u64) -> Result<String, KeyError> {
        use ed25519_dalek::Signer as _;
        let signature = self.key.sign(message(checkpoint_text.as_bytes(), time_s).as_slice());
        let bytes = [time_s.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        let key_id = key_id(&self.name, &self.key.verifying_key());
        let line =
            signed_note::Signature::new(self.name.clone(), key_id, bytes).map_err(|_| KeyError::Name)?;
        String::from_utf8(line.to_bytes()).map_err(|_| KeyError::Name)
    }
}

fn key_id(name: &str, key: &VerifyingKey) -> u32 {
    signed_note::key_id(name, &[&[COSIGNATURE_V1], key.as_bytes().as_slice()].concat())
}

fn message(checkpoint_text: &[u8], time_s: u64) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time_s}\n").as_bytes(), checkpoint_text].concat()
}

/// Checks cosignatures of one witness.
pub(crate) struct CosignatureVerifier {
    name: String,
    key: VerifyingKey,
}

impl CosignatureVerifier {
    /// Out of the bytes of a verifier key, without the first.
    pub fn of(name: &str, algorithm: u8, key: &[u8]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        (algorithm == COSIGNATURE_V1).then(|| Self { name: name.to_owned(), key })
    }

    /// When it was signed, in seconds since 1970.
    pub fn time_s(signature: &[u8]) -> Option<u64> {
        signature.first_chunk::<TIME_BYTES>().map(|bytes| u64::from_be_bytes(*bytes))
    }
}

impl Verifier for CosignatureVerifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        key_id(&self.name, &self.key)
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<TIME_BYTES>() else { return false };
        let time_s = u64::from_be_bytes(*time);
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        i64::try_from(time_s).is_ok() && self.key.verify_strict(&message(text, time_s), &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: a message, and the line that its witness signed. Its key is not published, so
    /// that only the layout is compared.
    #[test]
    fn the_message_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let wanted = format!("cosignature/v1\ntime 1679315147\n{text}");
        assert_eq!(message(text.as_bytes(), 1_679_315_147), wanted.into_bytes());
        let line = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let signature = signed_note::Signature::from_bytes(line.trim_end().as_bytes()).expect("a signature");
        assert_eq!(CosignatureVerifier::time_s(signature.signature()), Some(1_679_315_147));
        assert_eq!(signature.signature().len(), TIME_BYTES + 64);
    }

    #[test]
    fn a_cosignature_is_of_one_text_and_one_time() {
        let witness = Witness::of_seed("example.com/heartbeat", &[4; 32]).expect("a witness");
        let line = witness.cosign("a\n1\nx\n", 1_000).expect("a line");
        let signature = signed_note::Signature::from_bytes(line.trim_end().as_bytes()).expect("a signature");
        let verifier = CosignatureVerifier { name: witness.name.clone(), key: witness.key.verifying_key() };
        assert_eq!(signature.id(), verifier.key_id());
        assert!(verifier.verify(b"a\n1\nx\n", signature.signature()));
        assert!(!verifier.verify(b"a\n2\nx\n", signature.signature()));
        let mut later = signature.signature().to_vec();
        later[7] += 1;
        assert!(!verifier.verify(b"a\n1\nx\n", &later) && !verifier.verify(b"a\n1\nx\n", &[]));
    }
}
