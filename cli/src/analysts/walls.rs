//! Tries, as a new analyst, the ways round the row policies.

use anyhow::bail;
use clickhouse_io::{ClickHouse, EngineError, Sql};
use schemas::access::probes::{Expected, Probe};

/// ClickHouse's codes for what it may refuse here. Source: src/Common/ErrorCodes.cpp.
const UNKNOWN_FUNCTION: u32 = 46;
pub const ACCESS_DENIED: u32 = 497;

/// Fails with the first way round that is open.
pub async fn try_walls(analyst: &ClickHouse, probes: &[Probe]) -> anyhow::Result<()> {
    for Probe { sql, expected } in probes {
        let answer = analyst.fetch_one::<u64>("try the new analyst", Sql::new(sql.clone())).await;
        if !holds(&answer, *expected) {
            let got = answer.map_or_else(|error| error.to_string(), |count| count.to_string());
            bail!(
                "the analyst could see more than the tenant's own: `{sql}` answered {got}; does the server have \
                 access_control_improvements.select_from_system_db_requires_grant, as its own config.xml does?"
            );
        }
    }
    Ok(())
}

fn holds(answer: &Result<u64, EngineError>, expected: Expected) -> bool {
    match (answer, expected) {
        (Ok(count), Expected::Zero) => *count == 0,
        (Ok(_), Expected::Refused) => false,
        // another version may not have the function
        (Err(error), Expected::Zero) => matches!(error.code, Some(ACCESS_DENIED | UNKNOWN_FUNCTION)),
        (Err(error), Expected::Refused) => error.code == Some(ACCESS_DENIED),
    }
}

#[cfg(test)]
mod tests {
    use clickhouse_io::ErrorKind;

    use super::*;

    #[test]
    fn a_wall_holds_only_by_nothing_or_by_a_refusal() {
        let error = |code| {
            Err(EngineError { action: "test", cause: String::new(), kind: ErrorKind::Stop, code: Some(code) })
        };
        assert!(holds(&Ok(0), Expected::Zero) && holds(&error(ACCESS_DENIED), Expected::Refused));
        assert!(holds(&error(UNKNOWN_FUNCTION), Expected::Zero));
        assert!(!holds(&Ok(1), Expected::Zero) && !holds(&Ok(0), Expected::Refused));
        assert!(!holds(&error(UNKNOWN_FUNCTION), Expected::Refused) && !holds(&error(60), Expected::Zero));
    }
}
