//! The table that a run prints, and its file.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// What became of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub fault: String,
    pub case: String,
    /// `recovers` or `stops`.
    pub expected: &'static str,
    /// Events that the gateway acknowledged meanwhile.
    pub flowed: u64,
    /// None where nobody could tell.
    pub lost: Option<u64>,
    pub doubled: Option<u64>,
    /// From the removal of the cause until every record was in a closed batch and committed; none where that never was.
    pub recovered_s: Option<f64>,
    /// Whether all was as it must be: nothing lost or doubled, enough flowed, recovered or stopped as expected.
    pub as_expected: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Repeats the scenario's random choices.
    pub seed: u64,
}

impl Row {
    fn line(&self) -> String {
        let recovered =
            self.recovered_s.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"));
        let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let result = if self.as_expected { "as expected" } else { "NOT AS EXPECTED" };
        format!(
            "{:<6} {:<8} {:>8} {:>5} {:>8} {:>10}  {:<15}  {}",
            self.fault,
            self.expected,
            self.flowed,
            count(self.lost),
            count(self.doubled),
            recovered,
            result,
            self.case
        )
    }
}

pub fn head() -> String {
    format!(
        "{:<6} {:<8} {:>8} {:>5} {:>8} {:>10}  {:<15}  case",
        "fault", "expected", "flowed", "lost", "doubled", "recovered", "result"
    )
}

/// The whole table, and below it why a row is not as expected.
pub fn render(rows: &[Row]) -> String {
    let mut text = head() + "\n";
    for row in rows {
        text += &row.line();
        text += "\n";
        if let Some(why) = &row.why {
            text += &format!("       --seed {}: {why}\n", row.seed);
        }
    }
    let failed = rows.iter().filter(|row| !row.as_expected).count();
    text + &format!("{} of {} as expected\n", rows.len() - failed, rows.len())
}

/// Written beside and renamed, so that a reader never sees half of it.
pub fn write(rows: &[Row], file: &Path) -> anyhow::Result<()> {
    let part = file.with_extension("part");
    let text = serde_json::to_string_pretty(rows)?;
    fs::write(&part, text + "\n")
        .and_then(|()| fs::rename(&part, file))
        .with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            fault: "F11".to_owned(),
            case: "a pause".to_owned(),
            expected: "recovers",
            flowed: 1_200,
            lost: Some(0),
            doubled: Some(0),
            recovered_s: Some(3.25),
            as_expected: true,
            why: None,
            seed: 7,
        }
    }

    #[test]
    fn a_row_has_the_names_that_readers_of_the_file_know() {
        let json = serde_json::to_value(row()).expect("json");
        assert_eq!(json["fault"], "F11");
        assert_eq!(json["expected"], "recovers");
        assert_eq!((&json["flowed"], &json["lost"], &json["doubled"]), (&1_200.into(), &0.into(), &0.into()));
        assert_eq!(json["recovered_s"], 3.25);
        assert!(json.get("why").is_none());
    }

    #[test]
    fn a_failure_is_named_with_its_seed() {
        let failed = Row { as_expected: false, why: Some("2 lost".to_owned()), recovered_s: None, ..row() };
        let text = render(&[row(), failed]);
        assert!(text.contains("NOT AS EXPECTED") && text.contains("--seed 7: 2 lost"), "{text}");
        assert!(text.ends_with("1 of 2 as expected\n"), "{text}");
    }
}
