#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod written;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::tests::metrics;
use super::*;
use written::mmdb;

/// In the network that the written files know.
const KNOWN: &str = "81.2.69.142";

fn city(name: &str) -> Vec<u8> {
    let record = json!({
        "country": {"iso_code": "GB", "names": {"en": "United Kingdom", "de": "Vereinigtes Königreich"}},
        "subdivisions": [{"iso_code": "ENG", "names": {"en": "England"}}, {"names": {"en": "Kent"}}],
        "city": {"geoname_id": 1, "names": {"de": "anders", "en": name}},
        "location": {"latitude": 51.5, "longitude": -0.125, "time_zone": "Europe/London"},
    });
    mmdb("Made-City", &record)
}

fn asn() -> Vec<u8> {
    let record = json!({"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"});
    mmdb("Made-ASN", &record)
}

fn config(dir: &Path) -> EnrichConfig {
    EnrichConfig {
        geoip_city_file: Some(dir.join("city.mmdb")),
        geoip_asn_file: Some(dir.join("asn.mmdb")),
        reload_interval_ms: 100,
        max_geoip_file_bytes: 100_000,
        ..EnrichConfig::default()
    }
}

/// Both files, loaded and not followed.
pub fn loaded() -> Arc<GeoIp> {
    let dir = tempfile::tempdir().unwrap();
    let geo = GeoIp::of(&config(dir.path()));
    for (source, bytes) in geo.sources.iter().zip([city("London"), asn()]) {
        fs::write(&source.path, bytes).unwrap();
        let (database, _) = Database::load(&source.path, source.kind, source.max_bytes).unwrap();
        source.database.store(Some(Arc::new(database)));
    }
    Arc::new(geo)
}

/// A directory with both files, followed until it is dropped.
struct Followed {
    dir: tempfile::TempDir,
    geo: Arc<GeoIp>,
    metrics: EnrichMetrics,
    _stop: tokio_util::sync::DropGuard,
}

impl Followed {
    async fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let (stop, metrics) = (CancellationToken::new(), metrics());
        let geo = GeoIp::start(&config(dir.path()), metrics.clone(), stop.clone()).await.unwrap();
        Self { dir, geo, metrics, _stop: stop.drop_guard() }
    }

    fn replace(&self, name: &str, bytes: &[u8]) {
        let (new, old) = (self.dir.path().join("new"), self.dir.path().join(name));
        fs::write(&new, bytes).unwrap();
        fs::rename(new, old).unwrap();
    }

    fn city(&self) -> String {
        self.geo.look_up(KNOWN).value.unwrap_or_default().city_name
    }

    fn loads(&self, file: &str, result: &str) -> u64 {
        self.metrics.geoip_loads.with_label_values(&[file, result]).get()
    }

    async fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_true(self) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[test]
fn the_written_files_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (bytes, kind) in [(city("London"), Kind::City), (asn(), Kind::Asn)] {
        fs::write(&path, bytes).unwrap();
        let loaded = Database::load(&path, kind, 100_000);
        assert_eq!(
            loaded.map(|(database, _)| database.built_s()).map_err(|e| e.to_string()),
            Ok(1_790_000_000)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_files_answer_for_one_address() {
    let followed = Followed::start(&[("city.mmdb", city("London")), ("asn.mmdb", asn())]).await;
    let found = followed.geo.look_up(KNOWN);
    let wanted = Geo {
        country_iso_code: "GB".to_owned(),
        region_name: "England".to_owned(),
        city_name: "London".to_owned(),
        location: Some((51.5, -0.125)),
        as_number: 64_500,
        as_organization_name: "Example Net".to_owned(),
    };
    assert_eq!(found, Some(wanted.clone()).into());
    assert_eq!(followed.geo.look_up("::ffff:81.2.69.142"), Some(wanted).into(), "mapped into IPv6");
    assert_eq!(followed.geo.look_up("2001:4860::8888"), None.into(), "files of IPv4 only");
    assert_eq!(followed.geo.look_up("82.0.0.1"), None.into());
    let built = |file| followed.metrics.geoip_built.with_label_values(&[file]).get();
    assert_eq!((built("city"), built("asn")), (written::BUILT_S, written::BUILT_S));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_taken_and_a_broken_one_is_not() {
    let followed = Followed::start(&[("city.mmdb", city("London")), ("asn.mmdb", asn())]).await;
    followed.replace("city.mmdb", &city("Leeds"));
    followed.until("the new file", |f| f.city() == "Leeds").await;
    let whole = city("York");
    let mut flipped = whole.clone();
    flipped[3] = 0xff;
    let broken = [
        (b"<html>404</html>".to_vec(), "no file of the format"),
        (whole[..whole.len() / 2].to_vec(), "cut short"),
        (flipped, "a branch into nowhere"),
        (asn(), "the other file"),
        (vec![0; 100_001], "larger than enrich.max_geoip_file_bytes"),
        (vec![], "empty"),
    ];
    for (bytes, what) in broken {
        let before = followed.loads("city", "failed");
        followed.replace("city.mmdb", &bytes);
        followed.until(what, |f| f.loads("city", "failed") > before).await;
        assert_eq!(followed.city(), "Leeds", "{what}");
    }
    fs::remove_file(followed.dir.path().join("city.mmdb")).unwrap();
    let before = followed.loads("city", "failed");
    followed.until("the missing file", |f| f.loads("city", "failed") > before).await;
    assert_eq!(followed.city(), "Leeds", "missing");
    assert_eq!(followed.loads("asn", "failed"), 0);
    assert_eq!(followed.loads("asn", "loaded"), 1, "what did not change is not loaded again");
    fs::write(followed.dir.path().join("elsewhere"), &whole).unwrap();
    symlink("elsewhere", followed.dir.path().join("city.mmdb")).unwrap();
    followed.until("the mended file", |f| f.city() == "York").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_at_the_start_stops_nothing_and_is_taken_when_it_comes() {
    let followed = Followed::start(&[("asn.mmdb", asn())]).await;
    let found = followed.geo.look_up(KNOWN);
    assert_eq!(found.fault, Some(LookupFault::NotLoaded("enrich.geoip_city_file")));
    assert_eq!(found.value.unwrap().as_number, 64_500, "what is known is kept");
    assert_eq!(followed.geo.look_up("10.0.0.1"), None.into(), "nothing could be known of it");
    followed.replace("city.mmdb", &city("London"));
    followed.until("the file", |f| f.city() == "London").await;
}

#[test]
fn private_and_malformed_addresses_are_not_asked_for() {
    let public =
        ["81.2.69.142", " 8.8.8.8 ", "2001:4860::8888", "::ffff:8.8.8.8", "203.0.113.9", "172.32.0.1"];
    for text in public {
        assert!(public_address(text).is_some(), "{text}");
    }
    let none = [
        "",
        "AWS Internal",
        "secretsmanager.amazonaws.com",
        "8.8.8.8:443",
        "[::1]",
        "8.8.8",
        "010.1.1.1",
        "256.1.1.1",
        "10.8.8.10",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.10.20",
        "127.0.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "100.127.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:10.0.0.1",
    ];
    for text in none {
        assert_eq!(public_address(text), None, "{text}");
    }
}
