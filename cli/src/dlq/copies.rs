//! Which letters are copies that a replay wrote. They say so in a header, which anybody may write: a letter counts as a
//! copy only where the one that it names is there and has the same value. The copied one then stands for both, so that
//! replaying again and again does not make letters of letters.

use std::collections::{BTreeMap, HashMap};

use audit_event::TrailId;
use clickhouse_io::position::RecordPosition;
use clickhouse_io::{ClickHouse, EngineError};

/// Letters by position, each with the one that it copies.
pub type Origins = HashMap<RecordPosition, RecordPosition>;

/// What a letter says of itself: where it stands, and the header.
pub type Claim<'a> = (RecordPosition, &'a [u8]);

pub async fn origins(
    engine: &ClickHouse,
    trail: TrailId,
    claims: impl Iterator<Item = Claim<'_>>,
) -> Result<Origins, EngineError> {
    let claims: Vec<_> = claims
        .filter_map(|(position, header)| {
            let (of_trail, of) = RecordPosition::parse_in_trail(header)?;
            ((of_trail, of) != (trail, position)).then_some((position, of_trail, of))
        })
        .collect();
    if claims.is_empty() {
        return Ok(Origins::new());
    }
    let own: Vec<_> = claims.iter().map(|(position, ..)| *position).collect();
    let own = engine.letter_digests(trail, &own).await?;
    let mut by_trail: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (position, of_trail, of) in claims {
        by_trail.entry(of_trail.0).or_default().push((position, of));
    }
    let mut origins = Origins::new();
    for (of_trail, claims) in by_trail {
        let named: Vec<_> = claims.iter().map(|(_, of)| *of).collect();
        let named = engine.letter_digests(TrailId(of_trail), &named).await?;
        let true_claims = claims
            .into_iter()
            .filter(|(position, of)| named.get(of).is_some_and(|digest| own.get(position) == Some(digest)));
        origins.extend(true_claims);
    }
    Ok(origins)
}
