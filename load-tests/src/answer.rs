//! What a gateway's answer means for each event of a batch.

use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

/// The fate of one event in one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Accepted(Option<(i32, i64)>),
    Rejected(String),
    Unknown,
    /// The try had no effect, for certain: send again.
    NotTaken,
}

/// What a whole try came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Fates {
        fates: Vec<Fate>,
        retry_after: Option<Duration>,
        /// Why something is to be sent again, for people.
        why: String,
    },
    /// No retry would help: what to do instead.
    Hopeless(String),
}

impl Answer {
    /// Nobody knows what became of any of them.
    pub fn unknown(count: usize, retry_after: Option<Duration>, why: String) -> Self {
        Self::Fates { fates: vec![Fate::Unknown; count], retry_after, why }
    }

    /// None of them reached the gateway.
    pub fn not_taken(count: usize, why: String) -> Self {
        Self::Fates { fates: vec![Fate::NotTaken; count], retry_after: None, why }
    }

    pub fn read(status: u16, retry_after: Option<Duration>, body: &[u8], ids: &[Uuid]) -> Self {
        // results count whatever the status says: a 503 may still acknowledge some of the batch
        if let Some(fates) = fates(body, ids) {
            let why = format!("{status}, some unconfirmed");
            return Self::Fates { fates, retry_after, why };
        }
        match status {
            429 => Self::Fates {
                fates: vec![Fate::NotTaken; ids.len()],
                retry_after,
                why: "429, too many requests".to_owned(),
            },
            500..=599 => Self::unknown(ids.len(), retry_after, format!("{status} {}", detail(body))),
            200..=299 => Self::unknown(ids.len(), retry_after, format!("{status} without readable results")),
            _ => Self::Hopeless(hopeless(status, &detail(body))),
        }
    }
}

fn hopeless(status: u16, detail: &str) -> String {
    let advice = match status {
        401 => "set SEALTRAIL_API_KEY to a key that the stack knows",
        403 => "take an API key with the role producer",
        404 | 405 => "set SEALTRAIL_GATEWAY_URL to the ingest gateway",
        413 => "send smaller batches with --batch",
        _ => "the events of this command and the gateway do not agree; see the gateway's log",
    };
    format!("the gateway answered {status} ({detail}): {advice}")
}

/// The title and detail of a problem+json, or the beginning of whatever came.
fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
        detail: Option<String>,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { title, detail: Some(detail) }) => format!("{title}: {detail}"),
        Ok(Problem { title, detail: None }) => title,
        Err(_) => String::from_utf8_lossy(body).chars().take(120).collect(),
    }
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    event_id: Option<Uuid>,
    status: String,
    partition: Option<i32>,
    offset: Option<i64>,
    problem: Option<serde_json::Value>,
}

/// By position in the batch. What is not named, or named with another id, is unknown.
fn fates(body: &[u8], ids: &[Uuid]) -> Option<Vec<Fate>> {
    let Results { results } = serde_json::from_slice(body).ok()?;
    let mut fates = vec![Fate::Unknown; ids.len()];
    for item in results {
        let Some(id) = ids.get(item.index) else { continue };
        if item.event_id.is_none_or(|named| named == *id) {
            let index = item.index;
            fates[index] = fate(item);
        }
    }
    Some(fates)
}

fn fate(item: Item) -> Fate {
    match item.status.as_str() {
        "accepted" | "duplicate" => Fate::Accepted(item.partition.zip(item.offset)),
        "rejected" => {
            Fate::Rejected(item.problem.map_or_else(|| "no reason given".to_owned(), |p| reason(&p)))
        }
        "dropped_by_policy" => {
            Fate::Rejected("dropped by the tenant's policy; load a tenant of level all".to_owned())
        }
        // `buffered` comes without a receipt, so it promises nothing yet
        _ => Fate::Unknown,
    }
}

fn reason(problem: &serde_json::Value) -> String {
    let text = |key| problem.get(key).and_then(serde_json::Value::as_str);
    match (text("title"), text("detail"), text("pointer")) {
        (None, None, _) => problem.to_string(),
        (title, detail, pointer) => {
            [title, detail, pointer].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(count: u128) -> Vec<Uuid> {
        (1..=count).map(Uuid::from_u128).collect()
    }

    fn read(status: u16, body: &serde_json::Value, count: u128) -> Answer {
        Answer::read(status, None, body.to_string().as_bytes(), &ids(count))
    }

    fn fates_of(answer: Answer) -> Vec<Fate> {
        match answer {
            Answer::Fates { fates, .. } => fates,
            Answer::Hopeless(why) => panic!("{why}"),
        }
    }

    #[test]
    fn each_item_of_a_503_has_its_own_fate() {
        let ids = ids(4);
        let body = json!({"results": [
            {"index": 0, "event_id": ids[0], "status": "accepted", "partition": 2, "offset": 7},
            {"index": 1, "event_id": ids[1], "status": "unconfirmed"},
            {"index": 2, "event_id": ids[2], "status": "rejected", "problem": {"title": "bad", "pointer": "/actor"}},
            {"index": 3, "event_id": ids[0], "status": "accepted"},
        ]});
        assert_eq!(
            fates_of(read(503, &body, 4)),
            [
                Fate::Accepted(Some((2, 7))),
                Fate::Unknown,
                Fate::Rejected("bad: /actor".to_owned()),
                Fate::Unknown
            ]
        );
    }

    #[test]
    fn what_an_answer_leaves_out_is_unknown() {
        let body = json!({"results": [{"index": 1, "event_id": ids(2)[1], "status": "duplicate"}, {"index": 9, "status": "accepted"}]});
        assert_eq!(fates_of(read(202, &body, 2)), [Fate::Unknown, Fate::Accepted(None)]);
        assert_eq!(fates_of(Answer::read(202, None, b"{\"results\": [{\"ind", &ids(1))), [Fate::Unknown]);
    }

    #[test]
    fn a_429_took_nothing_and_a_502_may_have() {
        let problem = json!({"title": "busy"});
        assert_eq!(fates_of(read(429, &problem, 2)), vec![Fate::NotTaken; 2]);
        assert_eq!(fates_of(read(502, &problem, 2)), vec![Fate::Unknown; 2]);
    }

    #[test]
    fn a_wrong_key_ends_the_load_with_advice() {
        let Answer::Hopeless(why) = read(401, &json!({"title": "unauthorized"}), 1) else { panic!("hope") };
        assert!(why.contains("SEALTRAIL_API_KEY") && why.contains("unauthorized"), "{why}");
    }
}
