//! Readiness: each part of a service says whether it is ready, and if not, why.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use serde::Serialize;

/// The readiness of a service, shared by its parts. A part that has not spoken is not ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    parts: Arc<RwLock<BTreeMap<&'static str, PartState>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PartState {
    Ready,
    NotReady { reason: String },
}

impl Readiness {
    /// All parts that must be ready.
    pub fn of(parts: &[&'static str]) -> Self {
        let waiting = PartState::NotReady { reason: "starting".to_owned() };
        let parts = parts.iter().map(|part| (*part, waiting.clone())).collect();
        Self { parts: Arc::new(RwLock::new(parts)) }
    }

    pub fn ready(&self, part: &'static str) {
        self.set(part, PartState::Ready);
    }

    pub fn not_ready(&self, part: &'static str, reason: impl Into<String>) {
        self.set(part, PartState::NotReady { reason: reason.into() });
    }

    fn set(&self, part: &'static str, state: PartState) {
        let mut parts = self.parts.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.insert(part, state);
    }

    pub fn parts(&self) -> BTreeMap<&'static str, PartState> {
        self.parts.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub fn is_ready(&self) -> bool {
        self.parts().values().all(|state| *state == PartState::Ready)
    }
}
