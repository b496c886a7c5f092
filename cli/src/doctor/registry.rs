//! The schema registry: is it there, does it have this build's schema, does it keep readers and writers together?

use schemas::EVENTS_SUBJECT;
use schemas::avro::SCHEMA_TEXT;

use super::finding::Finding;
use super::{Seen, why};
use crate::registry::{COMPATIBILITY, Registry};

const REGISTRY: &str = "registry";
const SCHEMA: &str = "registry.schema";
const LEVEL: &str = "registry.compatibility";

#[derive(Debug, Clone)]
pub struct RegistryFacts {
    compatibility: String,
    /// The id of this build's schema under the subject.
    schema_id: Seen<Option<u32>>,
}

pub async fn gather(registry: &Registry) -> Seen<RegistryFacts> {
    let compatibility =
        registry.compatibility(EVENTS_SUBJECT).await.map_err(|error| why(format!("{error:#}")))?;
    let schema_id = registry.find(EVENTS_SUBJECT, SCHEMA_TEXT).await;
    Ok(RegistryFacts { compatibility, schema_id: schema_id.map_err(|error| format!("{error:#}")) })
}

pub fn judge(registry: &Seen<RegistryFacts>) -> Vec<Finding> {
    let facts = match registry {
        Ok(facts) => facts,
        Err(error) => {
            let away = |name| Finding::unknown(name, "the registry is not reachable");
            let advice = "start it, or check SEALTRAIL_REGISTRY_URL; nothing can be decoded without it";
            return vec![Finding::broken(REGISTRY, error, advice), away(SCHEMA), away(LEVEL)];
        }
    };
    let schema = match &facts.schema_id {
        Ok(Some(id)) => Finding::ok(SCHEMA, format!("{EVENTS_SUBJECT} has this build's schema, id {id}")),
        Ok(None) => Finding::warn(
            SCHEMA,
            format!("{EVENTS_SUBJECT} does not have this build's schema"),
            "start a gateway of this build, which registers it; where that fails, it says why",
        ),
        Err(error) => Finding::unknown(SCHEMA, error),
    };
    let level = &facts.compatibility;
    let level = if level == COMPATIBILITY {
        Finding::ok(LEVEL, format!("{EVENTS_SUBJECT} is {level}"))
    } else {
        Finding::broken(
            LEVEL,
            format!("{EVENTS_SUBJECT} is {level}: a schema could be let in that cannot read earlier records"),
            format!("run `sealtrail init`, which sets {COMPATIBILITY}"),
        )
    };
    vec![Finding::ok(REGISTRY, "answers"), schema, level]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn judgements() {
        let states = |compatibility: &str, schema_id| {
            let facts = RegistryFacts { compatibility: compatibility.to_owned(), schema_id };
            judge(&Ok(facts)).iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        assert_eq!(states(COMPATIBILITY, Ok(Some(1))), [State::Ok, State::Ok, State::Ok]);
        assert_eq!(states("BACKWARD", Ok(None)), [State::Ok, State::Warn, State::Broken]);
        assert_eq!(states(COMPATIBILITY, Err("x".into())), [State::Ok, State::Unknown, State::Ok]);
        let away: Vec<_> = judge(&Err("refused".into())).iter().map(|finding| finding.state).collect();
        assert_eq!(away, [State::Broken, State::Unknown, State::Unknown]);
    }
}
