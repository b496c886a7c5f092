//! The domain: what an audit event is, who may send it, and the control plane's values.
//!
//! Pure: no I/O, no clock, no random numbers. Every other crate may depend on this one; it depends on none of ours.

pub mod control;
pub mod correlation;
pub mod credential;
pub mod event;
pub mod event_type;
pub mod ids;
pub mod json;
pub mod policy;
pub mod timestamp;

pub use correlation::{CorrelationId, TraceContext, TraceParent};
pub use event::{Actor, AuditEvent, Change, Operation, Outcome, Severity, Signature, Source, Target, Trace};
pub use ids::{AssignmentGeneration, EventId, NextOffset, Offset, PartitionId, SchemaId, TenantId, TrailId};
pub use timestamp::{RecordTime, Timestamp};
