//! What ties a record to the request that brought it: a correlation id, and the caller's place in a distributed trace.
//! Both travel beside the datum (Kafka headers, then columns), because a retry has others.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// A text that is not what its header should hold. Such a header counts as absent: it must not cost anybody an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a {0}")]
pub struct Malformed(&'static str);

/// One request, as its caller or the edge named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CorrelationId(String);

impl CorrelationId {
    pub const MAX_BYTES: usize = 128;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CorrelationId {
    type Err = Malformed;

    /// Letters, digits and `-_.:/+=@`: what request ids in the wild are made of, and nothing that a log, a header or a
    /// shell could take for something else.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let is_sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
        let is_one = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_sane);
        if is_one { Ok(Self(text.to_owned())) } else { Err(Malformed("correlation id")) }
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The caller's place in a trace. Source: W3C Trace Context, Recommendation of 2021-11-23, section 3.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// `00-` + 32 + `-` + 16 + `-` + 2.
    const BYTES: usize = 55;
    const TRACE_ID: std::ops::Range<usize> = 3..35;
    const PARENT_ID: std::ops::Range<usize> = 36..52;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn trace_id(&self) -> &str {
        &self.0[Self::TRACE_ID]
    }
}

impl FromStr for TraceParent {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::known_part(text).map(|known| Self(known.to_owned()))
    }
}

impl TraceParent {
    /// The part of a well-formed `traceparent` that this version of the recommendation knows.
    pub fn known_part(text: &str) -> Result<&str, Malformed> {
        const MALFORMED: Malformed = Malformed("traceparent");
        if text.len() < Self::BYTES || !text.is_ascii() {
            return Err(MALFORMED);
        }
        // a later version may say more behind another dash; what this version knows is kept of it
        let (known, more) = text.split_at(Self::BYTES);
        let mut parts = known.split('-');
        let mut hex = |length: usize| {
            let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            parts.next().filter(|part| part.len() == length && part.bytes().all(is_hex)).ok_or(MALFORMED)
        };
        let (version, _, _, _) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let is_null = |range: std::ops::Range<usize>| known[range].bytes().all(|byte: u8| byte == b'0');
        let has_fault = version == "ff"
            || is_null(Self::TRACE_ID)
            || is_null(Self::PARENT_ID)
            || !(more.is_empty() || (version != "00" && more.starts_with('-')));
        if has_fault { Err(MALFORMED) } else { Ok(known) }
    }
}

/// `traceparent` with the `tracestate` that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub parent: TraceParent,
    pub state: Option<String>,
}

impl TraceContext {
    /// The least that every participant must pass on (W3C Trace Context, section 3.3.1.5), and the most that we do.
    pub const MAX_STATE_BYTES: usize = 512;

    /// Reads the two headers. A bad `tracestate` leaves the `traceparent` as it is.
    pub fn read(parent: &str, state: Option<&str>) -> Result<Self, Malformed> {
        let is_passed_on = |state: &&str| {
            (1..=Self::MAX_STATE_BYTES).contains(&state.len())
                && state.bytes().all(|b| (b' '..=b'~').contains(&b))
        };
        Ok(Self { parent: parent.parse()?, state: state.filter(is_passed_on).map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let parent: TraceParent = GOOD.parse().expect("good");
        assert_eq!((parent.as_str(), parent.trace_id()), (GOOD, "0af7651916cd43dd8448eb211c80319c"));
        let later = format!("cc{}-what-else", &GOOD[2..]);
        assert_eq!(
            later.parse::<TraceParent>().expect("a later version").as_str(),
            format!("cc{}", &GOOD[2..])
        );
        let bad = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "0-00af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ];
        for text in bad {
            assert!(text.parse::<TraceParent>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_bad_tracestate_does_not_cost_the_traceparent() {
        let long = "x".repeat(TraceContext::MAX_STATE_BYTES + 1);
        for (state, kept) in
            [(Some("a=1,b=2"), true), (Some(long.as_str()), false), (Some("a=\n"), false), (None, false)]
        {
            let context = TraceContext::read(GOOD, state).expect("the parent is good");
            assert_eq!(context.state.is_some(), kept, "{state:?}");
        }
    }

    #[test]
    fn a_correlation_id_is_plain_and_short() {
        let longest = "a".repeat(CorrelationId::MAX_BYTES);
        for good in ["a", "0193-ab_c.d:e/f+g=h@i", &longest] {
            assert_eq!(good.parse::<CorrelationId>().expect("good").as_str(), good);
        }
        let too_long = format!("{longest}a");
        for bad in ["", "a b", "a\"b", "a\nb", "é", &too_long] {
            assert!(bad.parse::<CorrelationId>().is_err(), "{bad}");
        }
    }
}
