//! Keys that sign notes, and keys that verify them, in the text forms of C2SP signed-note: `PRIVATE+KEY+<name>+<id>+<key>`
//! and `<name>+<id>+<key>`. Source: <https://c2sp.org/signed-note>.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use signed_note::{
    Note, NoteError, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList, is_key_name_valid,
};
use thiserror::Error;

/// The byte before an Ed25519 key that names its algorithm.
const ED25519: u8 = 1;
/// The longest name of a key, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The most keys in a list.
const MAX_KEYS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    #[error(
        "a key name has 1 to {MAX_NAME_BYTES} characters, none of them a space or `+`, such as example.com/receipts"
    )]
    Name,
    #[error(
        "the signing key cannot be read: it is one line `PRIVATE+KEY+<name>+<id>+<key>`; make one with `sealtrail receipt-keys create`"
    )]
    Signing,
    #[error(
        "the secret of the logs cannot be read: it is one line `SEALTRAIL+LOG+KEY+<name>+<key>`; make one with `sealtrail log-keys create`"
    )]
    Log,
    #[error("line {line} is no verifier key `<name>+<id>+<key>`")]
    Verifier { line: usize },
    #[error("more than {MAX_KEYS} verifier keys")]
    TooMany,
    #[error("the text cannot be signed: it is longer than 1,000,000 bytes, or holds control characters")]
    Text,
    #[error("the note cannot be read: it is a text, an empty line, and a line for each signature")]
    Malformed,
    #[error("the note is signed by none of the {known} known keys")]
    UnknownSigner { known: usize },
    #[error("the signature of key {name} is wrong: the text or the signature was altered")]
    Signature { name: String },
}

pub(crate) fn check_name(name: &str) -> Result<(), KeyError> {
    let is_fine = is_key_name_valid(name) && name.len() <= MAX_NAME_BYTES && !name.contains(char::is_control);
    if is_fine { Ok(()) } else { Err(KeyError::Name) }
}

/// The text of a verifier key.
pub(crate) fn key_of(name: &str, algorithm: u8, public: &[u8]) -> String {
    let bytes = [&[algorithm], public].concat();
    format!("{name}+{:08x}+{}", signed_note::key_id(name, &bytes), STANDARD.encode(&bytes))
}

/// Signs bytes with Ed25519 under one key.
pub type Ed25519Signer = Arc<dyn Fn(&[u8]) -> [u8; 64] + Send + Sync>;

/// An Ed25519 key with its name. Never printed.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
    key_id: u32,
    signer: Ed25519Signer,
}

impl SigningKey {
    /// A key out of 32 random bytes.
    pub fn of_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = key.verifying_key();
        let key_id = signed_note::key_id(name, &[&[ED25519], public.as_bytes().as_slice()].concat());
        let signs = key.clone();
        let signer: Ed25519Signer = Arc::new(move |text| signs.sign(text).to_bytes());
        Ok(Self { name: name.to_owned(), key, key_id, signer })
    }

    /// Lets another implementation sign, which gets the key's 32 bytes: this crate's runs in a browser too, and is slower
    /// than those in assembly. The signatures are the same ones (RFC 8032, 5.1.6).
    pub fn signed_by<E>(self, make: impl FnOnce(&[u8; 32]) -> Result<Ed25519Signer, E>) -> Result<Self, E> {
        let signer = make(self.key.as_bytes())?;
        Ok(Self { signer, ..self })
    }

    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        // looks at the form and at the id
        let signer = StandardSigner::new(text).map_err(|_| KeyError::Signing)?;
        // the base64 of the key may hold further pluses
        let key = text.splitn(5, '+').nth(4).ok_or(KeyError::Signing)?;
        let key = STANDARD.decode(key).map_err(|_| KeyError::Signing)?;
        let seed = key.get(1..).and_then(|seed| seed.try_into().ok()).ok_or(KeyError::Signing)?;
        Self::of_seed(signer.name(), seed)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is kept in its file: a secret.
    pub fn secret_text(&self) -> String {
        let key = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        format!("PRIVATE+KEY+{}+{:08x}+{key}", self.name, self.key_id)
    }

    /// What others verify with.
    pub fn verifier(&self) -> String {
        key_of(&self.name, ED25519, self.key.verifying_key().as_bytes())
    }

    /// The signed note of a text, which ends with a newline.
    pub fn sign(&self, text: &str) -> Result<String, KeyError> {
        let mut note = Note::new(text.as_bytes(), &[]).map_err(|_| KeyError::Text)?;
        note.add_sigs(&[self]).map_err(|_| KeyError::Text)?;
        String::from_utf8(note.to_bytes()).map_err(|_| KeyError::Text)
    }
}

impl Signer for SigningKey {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.key_id
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok((self.signer)(text).to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.verifier())
    }
}

/// Keys that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifierKeys(Vec<String>);

impl VerifierKeys {
    /// One key a line; empty lines, and those that begin with `#`, say nothing.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            StandardVerifier::new(line).map_err(|_| KeyError::Verifier { line: index + 1 })?;
            keys.add(line);
        }
        if keys.0.len() > MAX_KEYS { Err(KeyError::TooMany) } else { Ok(keys) }
    }

    /// Adds one that is not there yet.
    pub fn add(&mut self, key: &str) {
        if !self.0.iter().any(|known| known == key) {
            self.0.push(key.to_owned());
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The text of a note that one of these keys has signed.
    pub fn open(&self, note: &str) -> Result<String, KeyError> {
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| KeyError::Malformed)?;
        let verifiers = self.0.iter().filter_map(|key| StandardVerifier::new(key).ok());
        let known = VerifierList::new(verifiers.map(|key| Box::new(key) as Box<dyn Verifier>).collect());
        parsed.verify(&known).map_err(|error| match error {
            NoteError::InvalidSignature { name, .. } => KeyError::Signature { name },
            NoteError::UnverifiedNote => KeyError::UnknownSigner { known: self.0.len() },
            _ => KeyError::Malformed,
        })?;
        String::from_utf8(parsed.text().to_vec()).map_err(|_| KeyError::Malformed)
    }
}

/// One key a line.
impl fmt::Display for VerifierKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| writeln!(f, "{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::of_seed("example.com/receipts", &[seed; 32]).expect("a key")
    }

    /// The example of C2SP signed-note and of Go's `note` package.
    #[test]
    fn the_published_example_opens() {
        let keys =
            VerifierKeys::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n")
                .expect("keys");
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signature = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(keys.open(&format!("{text}\n{signature}")).as_deref(), Ok(text));
        let secret = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let key = SigningKey::parse(secret).expect("the key");
        assert_eq!((key.verifier() + "\n", key.secret_text().as_str()), (keys.to_string(), secret));
        assert_eq!(key.sign(text), Ok(format!("{text}\n{signature}")));
    }

    #[test]
    fn a_note_opens_with_its_key_only_and_unaltered_only() {
        let (ours, other) = (key(1), key(2));
        let note = ours.sign("a\nb\n").expect("signed");
        let mut keys = VerifierKeys::default();
        assert_eq!(keys.open(&note), Err(KeyError::UnknownSigner { known: 0 }));
        keys.add(&other.verifier());
        assert_eq!(keys.open(&note), Err(KeyError::UnknownSigner { known: 1 }));
        keys.add(&ours.verifier());
        assert_eq!(keys.open(&note).as_deref(), Ok("a\nb\n"));
        let altered = note.replacen('b', "c", 1);
        assert!(matches!(keys.open(&altered), Err(KeyError::Signature { .. })));
        assert_eq!(keys.open("a\nb\n"), Err(KeyError::Malformed));
    }

    #[test]
    fn every_key_survives_its_text() {
        for seed in 0..=255 {
            let again = SigningKey::parse(&key(seed).secret_text()).expect("a key");
            assert_eq!(again.verifier(), key(seed).verifier(), "{seed}");
            assert!(VerifierKeys::parse(&again.verifier()).is_ok(), "{seed}");
        }
    }

    #[test]
    fn keys_survive_their_text_and_bad_ones_are_named() {
        let key = key(3);
        let again = SigningKey::parse(&format!("{}\n", key.secret_text())).expect("a key");
        assert_eq!(again.verifier(), key.verifier());
        assert!(!format!("{key:?}").contains(&key.secret_text()), "the secret is shown");
        assert_eq!(SigningKey::of_seed("a b", &[0; 32]).err(), Some(KeyError::Name));
        assert_eq!(SigningKey::parse("PRIVATE+KEY+x+00000000+AAAA").err(), Some(KeyError::Signing));
        let text = format!("# former\n\n{}\nnonsense\n", key.verifier());
        assert_eq!(VerifierKeys::parse(&text), Err(KeyError::Verifier { line: 4 }));
    }
}
