//! The letters of a replay, portion by portion: read in the order of their positions, judged, counted, and those taken
//! that are to be written. Memory is bounded by a portion, and by the identities of what was taken.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use clickhouse_io::dead_letters::{Letter, LetterFilter, PageBounds};
use clickhouse_io::known_events::EventIdentity;
use clickhouse_io::position::RecordPosition;

use super::prospect::{Advice, Assessment, Assessor, Prospect};
use super::report::Groups;

/// Letters of a portion,
pub const PORTION_LETTERS: usize = 10_000;
/// and what they take in memory.
const PORTION_BYTES: usize = 32 * 1024 * 1024;
/// What is read and judged at once.
const PAGE: PageBounds = PageBounds { letters: 1_000, bytes: 16 * 1024 * 1024 };

/// A letter that is to be written.
#[derive(Debug)]
pub struct Planned {
    pub letter: Letter,
    pub identity: EventIdentity,
}

/// How much is taken, and whether a person's word stands against ours.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub limit: u64,
    pub force: bool,
}

pub struct Selection<'a> {
    assessor: Assessor<'a>,
    filter: LetterFilter,
    terms: Terms,
    after: Option<RecordPosition>,
    taken: Taken,
    has_ended: bool,
    pub groups: Groups,
    pub letters: u64,
    pub planned: u64,
    /// Whether the limit ended it.
    pub more: bool,
}

impl<'a> Selection<'a> {
    pub fn new(assessor: Assessor<'a>, filter: LetterFilter, terms: Terms) -> Self {
        Self {
            assessor,
            filter,
            terms,
            after: None,
            taken: Taken::default(),
            has_ended: false,
            groups: Groups::default(),
            letters: 0,
            planned: 0,
            more: false,
        }
    }

    /// Empty at the end.
    pub async fn next_portion(&mut self) -> anyhow::Result<Vec<Planned>> {
        let (mut portion, mut bytes) = (Vec::new(), 0);
        while !self.has_ended && bytes < PORTION_BYTES && portion.len() + PAGE.letters <= PORTION_LETTERS {
            let letters = self.assessor.engine.letters(&self.filter, self.after, PAGE).await?;
            let Some(last) = letters.last() else {
                self.has_ended = true;
                break;
            };
            self.after = Some(last.position);
            let assessments = self.assessor.assess(&letters).await?;
            for (letter, assessment) in letters.into_iter().zip(assessments) {
                if self.planned >= self.terms.limit {
                    (self.has_ended, self.more) = (true, true);
                    break;
                }
                if let Some(planned) = self.take(letter, assessment) {
                    bytes += planned.letter.bytes();
                    portion.push(planned);
                }
            }
        }
        Ok(portion)
    }

    fn take(&mut self, letter: Letter, assessment: Assessment) -> Option<Planned> {
        let is_wanted = match assessment.advice() {
            Advice::Replay => true,
            Advice::OnlyIfForced => self.terms.force,
            Advice::Skip => false,
        };
        let identity = assessment.identity.clone().filter(|_| is_wanted);
        let twin = identity.as_ref().and_then(|identity| self.taken.twin(identity, &letter, &assessment));
        let planned = identity.filter(|_| twin.is_none());
        let prospect = twin.as_ref().unwrap_or(&assessment.prospect);
        self.letters += 1;
        self.groups.add(&letter.reason, prospect, planned.is_some(), letter.position);
        let identity = planned?;
        self.planned += 1;
        Some(Planned { letter, identity })
    }
}

/// What was taken in this run: a producer that sent again may have left the same event twice.
#[derive(Debug, Default)]
struct Taken(HashMap<EventIdentity, (RecordPosition, u64)>);

impl Taken {
    /// What the letter is beside one that was taken before; remembers it where it is the first.
    fn twin(
        &mut self,
        identity: &EventIdentity,
        letter: &Letter,
        assessment: &Assessment,
    ) -> Option<Prospect> {
        let body = body_hash(letter, assessment);
        match self.0.get(identity) {
            None => {
                self.0.insert(identity.clone(), (letter.position, body));
                None
            }
            Some((of, same)) if *same == body => Some(Prospect::Repeat { of: *of }),
            Some((with, _)) => Some(Prospect::Conflict { with: Some(*with) }),
        }
    }
}

/// Both answers to a collision leave the letter out, so a weak hash does no harm.
fn body_hash(letter: &Letter, assessment: &Assessment) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &assessment.event {
        Some(event) => event.hash_body(&mut hasher),
        None => letter.value.hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use pipeline_core::verdict::DeadLetterReason;

    use super::*;
    use crate::dlq::judge::tests::event;
    use crate::dlq::prospect::tests::letter;
    use crate::dlq::state::key_identity;

    #[test]
    fn of_two_letters_with_one_event_one_is_taken() {
        let first = letter(1, DeadLetterReason::UnknownSchema);
        let second = letter(2, DeadLetterReason::UnknownSchema);
        let identity = key_identity(first.key.as_deref().expect("a key")).expect("an identity");
        let assessment = |event| Assessment {
            prospect: Prospect::Event,
            event: Some(event),
            identity: Some(identity.clone()),
        };
        let mut taken = Taken::default();
        assert_eq!(taken.twin(&identity, &first, &assessment(event())), None);
        let mut elsewhere = event();
        elsewhere.source.host = Some("other".into());
        let twin = taken.twin(&identity, &second, &assessment(elsewhere));
        assert_eq!(twin, Some(Prospect::Repeat { of: first.position }));
        let mut other = event();
        other.message = Some("other".into());
        let twin = taken.twin(&identity, &second, &assessment(other));
        assert_eq!(twin, Some(Prospect::Conflict { with: Some(first.position) }));
    }
}
