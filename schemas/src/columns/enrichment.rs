//! The columns of `events` that the processor fills from what it finds out, beside the sealed ones.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{Float32Builder, UInt32Builder};

use super::{Dictionary, push_text};

/// Where an address is and who announces it; empty, `None` or 0 where nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GeoColumns<'a> {
    pub country_iso_code: &'a str,
    pub region_name: &'a str,
    pub city_name: &'a str,
    /// Latitude and longitude in degrees.
    pub location: Option<(f32, f32)>,
    pub as_number: u32,
    pub as_organization_name: &'a str,
}

/// What a user agent says of itself; empty where nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserAgentColumns<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub os_name: &'a str,
    pub os_version: &'a str,
    pub device_name: &'a str,
}

#[derive(Default)]
pub(super) struct GeoBuilders {
    country_iso_code: Dictionary,
    region_name: Dictionary,
    city_name: Dictionary,
    latitude: Float32Builder,
    longitude: Float32Builder,
    as_number: UInt32Builder,
    as_organization_name: Dictionary,
}

impl GeoBuilders {
    pub fn push(&mut self, geo: GeoColumns<'_>) {
        push_text(&mut self.country_iso_code, geo.country_iso_code);
        push_text(&mut self.region_name, geo.region_name);
        push_text(&mut self.city_name, geo.city_name);
        self.latitude.append_option(geo.location.map(|(latitude, _)| latitude));
        self.longitude.append_option(geo.location.map(|(_, longitude)| longitude));
        self.as_number.append_value(geo.as_number);
        push_text(&mut self.as_organization_name, geo.as_organization_name);
    }

    pub fn finish(mut self) -> [ArrayRef; 7] {
        [
            Arc::new(self.country_iso_code.finish()),
            Arc::new(self.region_name.finish()),
            Arc::new(self.city_name.finish()),
            Arc::new(self.latitude.finish()),
            Arc::new(self.longitude.finish()),
            Arc::new(self.as_number.finish()),
            Arc::new(self.as_organization_name.finish()),
        ]
    }
}

#[derive(Default)]
pub(super) struct UserAgentBuilders {
    name: Dictionary,
    version: Dictionary,
    os_name: Dictionary,
    os_version: Dictionary,
    device_name: Dictionary,
}

impl UserAgentBuilders {
    pub fn push(&mut self, agent: UserAgentColumns<'_>) {
        push_text(&mut self.name, agent.name);
        push_text(&mut self.version, agent.version);
        push_text(&mut self.os_name, agent.os_name);
        push_text(&mut self.os_version, agent.os_version);
        push_text(&mut self.device_name, agent.device_name);
    }

    pub fn finish(mut self) -> [ArrayRef; 5] {
        [
            Arc::new(self.name.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.os_name.finish()),
            Arc::new(self.os_version.finish()),
            Arc::new(self.device_name.finish()),
        ]
    }
}
