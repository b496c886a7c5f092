//! Events one a line, produced while their body is still coming: what has come is on its way to Kafka, and the gateway
//! holds no more of a body than a piece and a line of it.

use audit_event::credential::Caller;
use service_kit::Problem;

use crate::answer::{not_json, too_large};
use crate::body::Pieces;
use crate::config::Limits;
use crate::form::Form;
use crate::intake::Reader;
use crate::ndjson::Lines;
use crate::publish::Batch;
use crate::rates::{Left, Load, Rates};
use crate::turns::Turns;

/// What a stream of lines is taken under.
pub struct Terms<'a> {
    pub caller: &'a Caller,
    pub reader: Reader<'a>,
    pub rates: &'a Rates,
    pub limits: &'a Limits,
    pub turns: &'a Turns,
}

impl Terms<'_> {
    /// Takes all lines, or those before the problem.
    pub async fn take(&self, mut pieces: Pieces, batch: &mut Batch<'_>) -> Result<Left, Problem> {
        let mut lines = Lines::default();
        let mut left = self.rates.take(self.caller, Load { events: 0, bytes: 0 })?;
        while let Some(piece) = pieces.next().await? {
            let mut whole = Vec::new();
            lines.push(&piece, |line| whole.push(line.to_vec()));
            let _turn = self.turns.take(&self.caller.tenant_id).await?;
            left = self.produce(&whole, piece.len(), batch)?;
        }
        let mut last = Vec::new();
        lines.finish(|line| last.push(line.to_vec()));
        if !last.is_empty() {
            left = self.produce(&last, 0, batch)?;
        }
        Ok(left)
    }

    fn produce(&self, lines: &[Vec<u8>], bytes: usize, batch: &mut Batch<'_>) -> Result<Left, Problem> {
        if batch.len() + lines.len() > self.limits.max_batch_events {
            return Err(too_large(format!("at most {} events in a batch", self.limits.max_batch_events)));
        }
        let left = self.rates.take(self.caller, Load { events: lines.len(), bytes })?;
        for line in lines {
            let value = serde_json::from_slice(line).map_err(|error| not_json(error.to_string()));
            let item = self.reader.read(batch.len(), Form::NdJson, value.as_ref().map_err(Clone::clone));
            batch.push(item);
        }
        Ok(left)
    }
}
