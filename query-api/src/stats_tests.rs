use super::*;
use crate::parameters::pairs;

fn parse(of: &[(&str, &str)]) -> Result<Stats, BadParameter> {
    Stats::parse(pairs(of))
}

#[test]
fn grouping_is_a_closed_set() {
    let fault = |of: &[(&str, &str)]| parse(of).expect_err("bad").to_string();
    assert_eq!(fault(&[]), "parameter `group_by` or `interval` must be given");
    assert!(fault(&[("group_by", "message")]).contains("must be out of event_type, operation"));
    assert!(fault(&[("group_by", "outcome,")]).contains("must be out of"));
    assert!(fault(&[("group_by", "outcome,outcome")]).contains("has outcome twice"));
    let five = "event_type,operation,outcome,severity,door";
    assert!(fault(&[("group_by", five)]).contains("at most 4 names"));
    assert!(fault(&[("interval", "2h")]).contains("1m, 5m, 15m, 1h, 6h, 1d"));
    assert!(fault(&[("group_by", "outcome"), ("limit", "5")]).contains("`limit` is not known"));
}

#[test]
fn the_statement_groups_by_what_was_asked() {
    let tenant_id = "demo".parse().expect("a tenant");
    let text = |of: &[(&str, &str)]| parse(of).expect("fine").sql(&tenant_id).text().to_owned();
    let both = text(&[("group_by", "actor_id,outcome"), ("interval", "1h")]);
    assert!(both.contains("[toString(actor_id), toString(outcome)]"), "{both}");
    assert!(both.contains("GROUP BY actor_id, outcome, toUnixTimestamp64Micro"), "{both}");
    let time_only = text(&[("interval", "1d")]);
    assert!(time_only.contains("emptyArrayString()") && time_only.contains("{step_us:Int64}"), "{time_only}");
    let no_time = text(&[("group_by", "door")]);
    assert!(no_time.contains("GROUP BY door ORDER BY") && !no_time.contains("step_us"), "{no_time}");
}

#[test]
fn a_group_names_its_values() {
    let stats = parse(&[("group_by", "outcome,door"), ("interval", "1h")]).expect("fine");
    let group = stats.group((vec!["denied".to_owned(), "http".to_owned()], 1_793_613_600_000_000, 3));
    let json = serde_json::to_value(&group).expect("serialises");
    let key = serde_json::json!({"outcome": "denied", "door": "http", "time": "2026-11-02T10:00:00Z"});
    assert_eq!(json, serde_json::json!({"key": key, "count": 3}));
}
