//! Events one a line, produced while their body is still coming: what has come is on its way to Kafka, and the gateway
//! holds no more of a body than a piece and a line of it.

use audit_event::credential::Caller;
use service_kit::Problem;

use crate::admit::BodyRoom;
use crate::answer::too_large;
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
    pub async fn take(
        &self,
        mut pieces: Pieces,
        mut room: BodyRoom,
        batch: &mut Batch<'_>,
    ) -> Result<Left, Problem> {
        let mut lines = Lines::default();
        let mut left = self.rates.take(self.caller, Load { events: 0, bytes: 0 })?;
        while let Some(piece) = pieces.next().await? {
            room.hold(piece.len() + lines.begun())?;
            let _turn = self.turns.take(&self.caller.tenant_id).await?;
            left = self.rates.take(self.caller, Load { events: 0, bytes: piece.len() })?;
            lines.push(&piece, |line| self.produce(line, batch).map(|now| left = now))?;
        }
        lines.finish(|line| self.produce(line, batch).map(|now| left = now))?;
        Ok(left)
    }

    /// Counted line by line: a packed body can become millions of them at once.
    fn produce(&self, line: &[u8], batch: &mut Batch<'_>) -> Result<Left, Problem> {
        if batch.len() >= self.limits.max_batch_events {
            return Err(too_large(format!("at most {} events in a batch", self.limits.max_batch_events)));
        }
        let left = self.rates.take(self.caller, Load { events: 1, bytes: 0 })?;
        batch.push(self.reader.read_text(batch.len(), Form::NdJson, line));
        Ok(left)
    }
}
