//! What is found out about a record: from files that somebody else's program wrote, while they come, change and break,
//! and never at the cost of the record.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clickhouse_io::event_row::{EventRow, SELECT_COLUMNS};
use clickhouse_io::sql::Sql;
use integration_tests::clickhouse::Login;
use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, event};
use integration_tests::{eventually, workspace};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io) \
    terraform-provider-aws/3.76.1 aws-sdk-go/1.44.157 (go1.19.3; linux; amd64) HashiCorp-terraform-exec/0.17.3";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
    Gecko) Version/17.1 Mobile/15E148 Safari/604.1";
/// The columns that are looked at, one line a row.
const FOUND: &str = "SELECT actor_id, geo_country_iso_code, geo_region_name, geo_city_name, \
    round(geo_latitude, 2), round(geo_longitude, 2), geo_as_number, geo_as_organization_name, user_agent_name, \
    user_agent_version, user_agent_os_name, user_agent_os_version, user_agent_device_name, flags \
    FROM audit_events WHERE tenant_id = 'enrich' AND batch_id = '{batch}' ORDER BY actor_id FORMAT CSV";

fn write_geoip(path: &Path, database_type: &str, networks: Value) {
    let python = workspace().join("target/venv/bin/python");
    assert!(python.is_file(), "{} is not there; run the tests by `make test`", python.display());
    let mut command = Command::new(python);
    command.arg(workspace().join("integration-tests/python/geoip_file.py")).arg(path).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let wanted = json!({"database_type": database_type, "networks": networks});
    child.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn city(name: &str) -> Value {
    json!({
        "country": {"iso_code": "GB", "names": {"en": "United Kingdom"}},
        "subdivisions": [{"iso_code": "ENG", "names": {"en": "England"}}],
        "city": {"names": {"en": name, "de": "anders"}},
        "location": {"latitude": 51.51, "longitude": -0.09},
    })
}

fn cities(name: &str) -> Value {
    json!({"81.2.69.0/24": city(name), "2a02:d300::/32": {"country": {"iso_code": "UA"}}})
}

fn systems() -> Value {
    let system =
        json!({"autonomous_system_number": 20_712, "autonomous_system_organization": "Example Internet"});
    json!({"81.2.64.0/20": system})
}

/// A stack whose processor follows two files, of which only the first is there at its start.
struct Enriching {
    stack: Stack,
    city: PathBuf,
    asn: PathBuf,
}

impl Enriching {
    fn start() -> Self {
        let dir = workspace().join("target/it/enrich-files");
        let _none_yet = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let dir = dir.canonicalize().unwrap();
        let (city, asn) = (dir.join("city.mmdb"), dir.join("asn.mmdb"));
        write_geoip(&city, "Made-City", cities("London"));
        let setting = |path: &Path| path.to_str().unwrap().to_owned();
        let stack = Stack::start(&Options {
            name: "enrich",
            port_shift: 1_000,
            settings: vec![
                ("SEALTRAIL_PROCESSOR__ENRICH__GEOIP_CITY_FILE", setting(&city)),
                ("SEALTRAIL_PROCESSOR__ENRICH__GEOIP_ASN_FILE", setting(&asn)),
                ("SEALTRAIL_PROCESSOR__ENRICH__RELOAD_INTERVAL_MS", "200".to_owned()),
            ],
            ..Options::default()
        });
        Self { stack, city, asn }
    }

    /// The value of one of the processor's metrics.
    async fn metric(&self, series: &str) -> u64 {
        let url = format!("{}/metrics", self.stack.var("SEALTRAIL_PROCESSOR_URL"));
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    async fn until_loads(&self, file: &str, result: &str, more_than: u64) {
        eventually(&format!("{file} {result}"), || async {
            (self.metric(&loads(file, result)).await > more_than).then_some(())
        })
        .await;
    }
}

fn loads(file: &str, result: &str) -> String {
    format!("sealtrail_processor_geoip_loads_total{{file=\"{file}\",result=\"{result}\"}}")
}

/// Sends one event from each source, as one batch; answers what SQL says of them, and proves that each row is its record.
async fn enriched(tenant: &Tenant<'_>, batch: &str, sources: &[(&str, &str)]) -> String {
    let events: Vec<_> = sources
        .iter()
        .enumerate()
        .map(|(n, (ip, user_agent))| {
            let mut event = event(n);
            event["occurred_at"] = json!("2026-11-02T10:00:00Z");
            event["batch_id"] = json!(batch);
            event["source"] = json!({"ip": ip, "user_agent": user_agent});
            event
        })
        .collect();
    let results = tenant.send(&events).await;
    let found = FOUND.replace("{batch}", batch);
    let rows = eventually("the rows", || async {
        let rows = tenant.stack.sql(&found).await;
        (rows.lines().count() == sources.len()).then_some(rows)
    })
    .await;
    for result in &results {
        rebuilds(tenant.stack, result).await;
    }
    rows
}

/// The row gives the exact bytes that the gateway handed to Kafka.
async fn rebuilds(stack: &Stack, result: &Value) {
    let engine = Login::of(stack, "sealtrail", "clickhouse-owner").engine();
    let sql = Sql::new(format!(
        "SELECT {SELECT_COLUMNS} FROM events WHERE kafka_partition = {{p:Int32}} AND kafka_offset = {{o:Int64}}"
    ))
    .param("p", result["partition"].as_i64().unwrap() as i32)
    .param("o", result["offset"].as_i64().unwrap());
    let row: EventRow = engine.fetch_one("read a row", sql).await.unwrap();
    let record = row.rebuild_record().unwrap();
    let sha256: String = Sha256::digest(&record).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(json!(sha256), result["record_sha256"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_change_and_break_while_records_flow() {
    let enriching = Enriching::start();
    let tenant = Tenant::create(&enriching.stack, "enrich", "admin").await;
    let late = "\"['late_arrival']\"";
    let incomplete = "\"['late_arrival','enrichment_incomplete']\"";

    // one of two files: what is known is there, and what is missing is said; of a private address nothing is missing
    let sources = [("81.2.69.142", TERRAFORM), ("10.8.8.10", IPHONE), ("AWS Internal", "AWS Internal")];
    let wanted = [
        &format!(
            r#""actor-0","GB","England","London",51.51,-0.09,0,"","Terraform","1.1.2","Linux","","",{incomplete}"#
        ),
        &format!(r#""actor-1","","","",\N,\N,0,"","Mobile Safari","17.1","iOS","17.1","iPhone",{late}"#),
        &format!(r#""actor-2","","","",\N,\N,0,"","AWS Internal","","","","",{late}"#),
    ];
    let found = enriched(&tenant, "one-file", &sources).await;
    assert_eq!(found.lines().collect::<Vec<_>>(), wanted);
    assert!(enriching.metric(&loads("asn", "failed")).await > 0);

    // the other file comes
    write_geoip(&enriching.asn, "Made-ASN", systems());
    enriching.until_loads("asn", "loaded", 0).await;
    let sources = [("81.2.69.142", ""), ("2a02:d300::1", ""), ("192.0.2.1", "")];
    let wanted = [
        &format!(
            r#""actor-0","GB","England","London",51.51,-0.09,20712,"Example Internet","","","","","",{late}"#
        ),
        &format!(r#""actor-1","UA","","",\N,\N,0,"","","","","","",{late}"#),
        &format!(r#""actor-2","","","",\N,\N,0,"","","","","","",{late}"#),
    ];
    let found = enriched(&tenant, "two-files", &sources).await;
    assert_eq!(found.lines().collect::<Vec<_>>(), wanted);

    // a newer file takes the place of the first; rows that are there stay as they are
    write_geoip(&enriching.city, "Made-City", cities("Leeds"));
    enriching.until_loads("city", "loaded", 1).await;
    let found = enriched(&tenant, "newer", &sources[..1]).await;
    assert!(found.contains("\"Leeds\""), "{found}");
    let london = "SELECT count() FROM audit_events WHERE geo_city_name = 'London'";
    assert_eq!(enriching.stack.sql(london).await, "2");

    // a broken one does not
    let failed = enriching.metric(&loads("city", "failed")).await;
    fs::write(&enriching.city, "<html>the licence key has expired</html>").unwrap();
    enriching.until_loads("city", "failed", failed).await;
    let found = enriched(&tenant, "broken", &sources[..1]).await;
    assert!(found.contains("\"Leeds\""), "{found}");
    let log = fs::read_to_string(enriching.stack.dir.join("log/processor.log")).unwrap();
    let said = log.matches("no sound file of MaxMind's format").count();
    assert_eq!(said, 1, "said once: {log}");
    let tables =
        "SELECT (SELECT count() FROM events), (SELECT count() FROM dead_letters WHERE tenant_id = 'enrich')";
    assert_eq!(enriching.stack.sql(tables).await, "8\t0");
}
