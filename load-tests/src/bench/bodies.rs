//! Requests made beforehand, in which only the event ids change.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use uuid::fmt::Hyphenated;

use crate::event::{Event, Run};

pub const ID_BYTES: usize = Hyphenated::LENGTH;

/// Event ids that no other request of the run has.
pub struct Ids {
    run: Run,
    next: AtomicU64,
}

impl Ids {
    /// The numbers up to `used` belong to the events that bodies are made of.
    pub fn after(run: Run, used: u64) -> Self {
        Self { run, next: AtomicU64::new(used + 1) }
    }

    /// Writes one over what stands there.
    pub fn write(&self, place: &mut [u8]) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.run.event_id(n).hyphenated().encode_lower(place);
    }
}

/// A ready body.
#[derive(Clone)]
pub struct Body {
    text: Vec<u8>,
    ids_at: Vec<usize>,
}

impl Body {
    /// One event alone.
    pub fn single(event: &Event) -> Result<Self> {
        Self::of(serde_json::to_vec(event)?, std::slice::from_ref(event))
    }

    /// A JSON array of events.
    pub fn batch(events: &[Event]) -> Result<Self> {
        Self::of(serde_json::to_vec(events)?, events)
    }

    fn of(text: Vec<u8>, events: &[Event]) -> Result<Self> {
        let mut ids_at = Vec::with_capacity(events.len());
        let mut from = 0;
        for event in events {
            let at = from + find(&text[from..], event.event_id.to_string().as_bytes())?;
            ids_at.push(at);
            from = at + ID_BYTES;
        }
        Ok(Self { text, ids_at })
    }

    /// As it is, for who wants to know what becomes of it.
    pub fn text(&self) -> Bytes {
        Bytes::copy_from_slice(&self.text)
    }

    pub fn with_fresh_ids(&mut self, ids: &Ids) -> Bytes {
        for at in &self.ids_at {
            ids.write(&mut self.text[*at..at + ID_BYTES]);
        }
        self.text()
    }
}

/// Where the bytes of an id begin.
pub fn find(text: &[u8], id: &[u8]) -> Result<usize> {
    text.windows(id.len()).position(|window| window == id).context("an event without its own id")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_the_ids_change_and_none_comes_twice() {
        let run = Run::new(3, DateTime::UNIX_EPOCH);
        let events: Vec<Event> = (1..=5).map(|n| run.event(n)).collect();
        let mut body = Body::batch(&events).expect("a body");
        let ids = Ids::after(run, 5);
        let mut seen: HashSet<String> = events.iter().map(|event| event.event_id.to_string()).collect();
        let before: Value = serde_json::from_slice(&body.text()).expect("json");
        for _ in 0..3 {
            let after: Value = serde_json::from_slice(&body.with_fresh_ids(&ids)).expect("json");
            for (before, after) in
                before.as_array().expect("list").iter().zip(after.as_array().expect("list"))
            {
                assert!(seen.insert(after["event_id"].as_str().expect("an id").to_owned()));
                assert_eq!(before["message"], after["message"]);
                assert_eq!(before["attributes"], after["attributes"]);
            }
        }
        assert_eq!(seen.len(), 20);
    }
}
