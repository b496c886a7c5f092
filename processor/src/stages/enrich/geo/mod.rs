//! Where a source's address is and who announces it, from files in MaxMind's format. The address is the one that the
//! producer gives (`source.ip`): what the gateway saw is its own peer, often a proxy, and stands in `peer_address`.

mod file;
mod follow;
mod record;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use ::schemas::columns::GeoColumns;
use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use super::{EnrichMetrics, GEOIP_FILES, Looked, Lookup, LookupFault};
use crate::config::EnrichConfig;
use file::Database;

/// What is known about an address; empty, `None` or 0 where nothing is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Geo {
    pub country_iso_code: String,
    pub region_name: String,
    pub city_name: String,
    pub location: Option<(f32, f32)>,
    pub as_number: u32,
    pub as_organization_name: String,
}

impl Geo {
    pub fn columns(&self) -> GeoColumns<'_> {
        GeoColumns {
            country_iso_code: &self.country_iso_code,
            region_name: &self.region_name,
            city_name: &self.city_name,
            location: self.location,
            as_number: self.as_number,
            as_organization_name: &self.as_organization_name,
        }
    }
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    City,
    Asn,
}

impl Kind {
    /// As metrics call it.
    fn label(self) -> &'static str {
        GEOIP_FILES[self as usize]
    }

    fn setting(self) -> &'static str {
        ["enrich.geoip_city_file", "enrich.geoip_asn_file"][self as usize]
    }
}

/// One configured file, and what was last loaded of it.
struct Source {
    kind: Kind,
    path: PathBuf,
    max_bytes: u64,
    /// Swapped whole, so a look-up waits for nobody.
    database: ArcSwapOption<Database>,
}

/// The configured files.
pub struct GeoIp {
    sources: Vec<Source>,
}

impl GeoIp {
    fn of(config: &EnrichConfig) -> Self {
        let files = [(Kind::City, &config.geoip_city_file), (Kind::Asn, &config.geoip_asn_file)];
        let source = |(kind, path): (Kind, &Option<PathBuf>)| {
            let path = path.clone().filter(|path| !path.as_os_str().is_empty())?;
            let max_bytes = config.max_geoip_file_bytes;
            Some(Source { kind, path, max_bytes, database: ArcSwapOption::empty() })
        };
        Self { sources: files.into_iter().filter_map(source).collect() }
    }

    /// Loads the configured files and follows them until `stop`. `None` where no file is configured.
    pub async fn start(
        config: &EnrichConfig,
        metrics: EnrichMetrics,
        stop: CancellationToken,
    ) -> Option<Arc<Self>> {
        let geo = Arc::new(Self::of(config));
        if geo.sources.is_empty() {
            return None;
        }
        follow::start(geo.clone(), config.reload_interval(), metrics, stop).await;
        Some(geo)
    }
}

impl Lookup<Geo> for GeoIp {
    fn look_up(&self, text: &str) -> Looked<Geo> {
        let Some(address) = public_address(text) else { return None.into() };
        let mut geo = Geo::default();
        let mut fault = None;
        for source in &self.sources {
            let filled = match &*source.database.load() {
                Some(database) => database.fill(source.kind, address, &mut geo),
                None => Err(LookupFault::NotLoaded(source.kind.setting())),
            };
            fault = fault.or(filled.err());
        }
        Looked { value: (geo != Geo::default()).then_some(geo), fault }
    }
}

/// The address if others than its own network can reach it: about a private one no file knows anything.
fn public_address(text: &str) -> Option<IpAddr> {
    let address = text.trim().parse::<IpAddr>().ok()?.to_canonical();
    let is_public = match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    is_public.then_some(address)
}

/// By IANA's registry of special-purpose addresses; those for documentation count as public, nobody else has them.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_special = first == 0 || first >= 240 || address.is_multicast();
    let is_local = address.is_private() || address.is_loopback() || address.is_link_local();
    !(is_shared || is_special || is_local)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_special = address.is_unspecified() || address.is_multicast();
    let is_local = address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local();
    !(is_special || is_local)
}

#[cfg(test)]
pub mod tests;
