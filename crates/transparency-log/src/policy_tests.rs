use proptest::prelude::*;

use super::*;
use crate::cosignature::Witness;
use crate::proof::Tree;
use crate::{Hash, SigningKey};

const ORIGIN: &str = "example.com/log";

fn log(seed: u8) -> SigningKey {
    SigningKey::of_seed(ORIGIN, &[seed; 32]).expect("a key")
}

fn witness_of(seed: u8) -> Witness {
    Witness::of_seed(&format!("w{seed}.example.com"), &[seed; 32]).expect("a witness")
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), tree: Tree { size: 5, root: Hash([5; 32]) } }
}

/// Signed by the log, and cosigned by these at the time of their number.
fn note(cosigners: &[u8]) -> String {
    let text = checkpoint().text().expect("a text");
    let lines =
        cosigners.iter().map(|seed| witness_of(*seed).cosign(&text, u64::from(*seed)).expect("a line"));
    checkpoint().sign(&log(1)).expect("a note") + &lines.collect::<String>()
}

fn policy(rest: &str) -> Result<Policy, PolicyError> {
    let witnesses = (11..=14).map(|seed| format!("witness W{seed} {}\n", witness_of(seed).verifier()));
    Policy::parse(&format!("# ours\nlog {}\n{}{rest}", log(1).verifier(), witnesses.collect::<String>()))
}

#[test]
fn a_quorum_of_groups_is_counted() {
    let text = "group X 2 W11 W12 W13\ngroup XY all X W14\nquorum XY\n";
    let policy = policy(text).expect("a policy");
    for (cosigners, is_enough) in [
        (&[11, 12, 14][..], true),
        (&[12, 13, 14], true),
        (&[11, 12, 13, 14], true),
        (&[11, 12, 13], false),
        (&[11, 14], false),
        (&[11, 11, 14], false),
        (&[], false),
        (&[11, 12, 15], false),
    ] {
        let checked = policy.check(&note(cosigners));
        assert_eq!(checked.is_ok(), is_enough, "{cosigners:?}: {checked:?}");
    }
    let trusted = policy.check(&note(&[11, 12, 14])).expect("trusted");
    assert_eq!(trusted, Trusted { checkpoint: checkpoint(), cosigned_at_s: Some(14) });
}

#[test]
fn only_the_log_of_the_origin_is_believed() {
    let policy = policy("quorum none\n").expect("a policy");
    assert_eq!(policy.check(&note(&[])).map(|trusted| trusted.cosigned_at_s), Ok(None));
    let by_another = checkpoint().sign(&log(2)).expect("a note");
    assert_eq!(policy.check(&by_another), Err(TrustError::UnknownLog { origin: ORIGIN.to_owned() }));
    let altered = note(&[11]).replacen("\n5\n", "\n6\n", 1);
    assert_eq!(policy.check(&altered), Err(TrustError::Signature { name: ORIGIN.to_owned() }));
    let elsewhere = Checkpoint { origin: "example.com/other".to_owned(), ..checkpoint() };
    let elsewhere = elsewhere.sign(&log(1)).expect("a note");
    assert_eq!(
        policy.check(&elsewhere),
        Err(TrustError::UnknownLog { origin: "example.com/other".to_owned() })
    );
    assert_eq!(policy.check("hello"), Err(TrustError::Malformed));
    // a cosignature that was altered is as good as none
    let broken = note(&[11]).replace("w11.example.com ", "w12.example.com ");
    assert_eq!(policy.check(&broken).map(|trusted| trusted.cosigned_at_s), Ok(None));
}

#[test]
fn a_policy_is_read_as_the_specification_has_it() {
    let key = SigningKey::of_seed("example.com/receipts", &[3; 32]).expect("a key").verifier();
    let fine = policy(&format!("\t # receipt-key {key}\n \n  quorum \t W11  \n")).expect("a policy");
    assert_eq!(fine.receipt_keys().iter().collect::<Vec<_>>(), [key]);
    assert_eq!(fine.origins().collect::<Vec<_>>(), [ORIGIN]);
    let (log, w11) = (log(1).verifier(), witness_of(11).verifier());
    let other = witness_of(20).verifier();
    for (rest, what) in [
        ("".to_owned(), "no `quorum`"),
        ("quorum none\nquorum none\n".to_owned(), "a second quorum"),
        ("quorum Z\n".to_owned(), "nobody"),
        ("group A 1 Z\nquorum none\n".to_owned(), "does not stand above"),
        ("group A 3 W11 W12\nquorum A\n".to_owned(), "from one to all"),
        ("group A 0 W11\nquorum A\n".to_owned(), "from one to all"),
        ("group A any\nquorum A\n".to_owned(), "from one to all"),
        ("group A any W11\ngroup B any W11\nquorum A\n".to_owned(), "in a group already"),
        ("group W11 any W12\nquorum none\n".to_owned(), "taken"),
        ("group none any W12\nquorum none\n".to_owned(), "taken"),
        (format!("log {log}\nquorum none\n"), "same key"),
        (format!("witness V {w11}\nquorum none\n"), "twice"),
        (format!("witness V {log}\nquorum none\n"), "no key of a witness"),
        (format!("log {other}\nquorum none\n"), "no key of a log"),
        ("hello\nquorum none\n".to_owned(), "unknown"),
        ("quorum none\r\n".to_owned(), "control"),
    ] {
        let error = policy(&rest).expect_err(what).to_string();
        assert!(error.contains(what), "{error}, wanted {what}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "((log|witness|group|quorum|#|[a-z]{1,5})( [a-z0-9+/=]{0,12}){0,4}\n){0,6}") {
        let _ = Policy::parse(&text);
    }

    #[test]
    fn no_note_breaks_the_check(text in ".{0,20}\n[0-9]{0,3}\n.{0,44}\n\n(— [a-z]{1,5} [A-Za-z0-9+/=]{0,90}\n){0,3}") {
        let policy = policy("quorum none\n").expect("a policy");
        prop_assert!(policy.check(&text).is_err());
    }
}
