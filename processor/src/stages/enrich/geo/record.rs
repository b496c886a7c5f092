//! The records of MaxMind's City, Country and ASN files, as far as they are used; DB-IP's have the same form. Source:
//! <https://dev.maxmind.com/geoip/docs/databases/city-and-country> and `…/asn`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::Geo;
use user_agents::head;

/// A name is cut here. The longest of cities has 85 letters.
const MAX_NAME_BYTES: usize = 128;

#[derive(Debug, Default, Deserialize)]
pub struct CityRecord<'a> {
    #[serde(borrow, default)]
    country: Country<'a>,
    #[serde(borrow, default)]
    subdivisions: Vec<Place<'a>>,
    #[serde(borrow, default)]
    city: Place<'a>,
    #[serde(default)]
    location: Location,
}

#[derive(Debug, Default, Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
struct Place<'a> {
    #[serde(borrow, default)]
    names: Names<'a>,
}

/// Names in other languages are passed over.
#[derive(Debug, Default, Deserialize)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
struct Location {
    latitude: Option<Number>,
    longitude: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
pub struct AsnRecord<'a> {
    autonomous_system_number: Option<Number>,
    autonomous_system_organization: Option<&'a str>,
}

impl CityRecord<'_> {
    pub fn fill(&self, geo: &mut Geo) {
        geo.country_iso_code = name(self.country.iso_code);
        // the largest comes first
        geo.region_name = name(self.subdivisions.first().and_then(|region| region.names.en));
        geo.city_name = name(self.city.names.en);
        geo.location = self.location.known();
    }
}

impl Location {
    fn known(&self) -> Option<(f32, f32)> {
        let (Number(latitude), Number(longitude)) = self.latitude.zip(self.longitude)?;
        let is_on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        is_on_earth.then_some((latitude as f32, longitude as f32))
    }
}

impl AsnRecord<'_> {
    pub fn fill(&self, geo: &mut Geo) {
        // the cast cuts at the bounds of the type; an autonomous system's number has 32 bits
        geo.as_number = self.autonomous_system_number.map_or(0, |Number(number)| number as u32);
        geo.as_organization_name = name(self.autonomous_system_organization);
    }
}

fn name(text: Option<&str>) -> String {
    head(text.unwrap_or_default().trim(), MAX_NAME_BYTES).to_owned()
}

/// A number of whatever type its writer chose; the reader is exact about types.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }
}
