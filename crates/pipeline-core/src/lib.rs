//! The stream logic of Sealtrail, pure: it never awaits, reads no clock and draws no random number. Facts come in as
//! arguments, decisions go out as values; the processor's I/O obeys.
//!
//! The way of one batch: [`assignment`] says where to begin, [`batch`] cuts a contiguous range, [`checks`],
//! [`dedupe`] and [`verdict`] say what each record is, [`announcement`] says what may be in flight, [`batch_run`] leads the batch to
//! its close through every answer that may come or not come.

pub mod announcement;
pub mod assignment;
pub mod batch;
pub mod batch_run;
pub mod checks;
pub mod dedupe;
pub mod verdict;

/// The version of the rules by which verdicts are given. A range announced under one version is replayed under it.
pub const RULES: u32 = 1;
