//! Which writer schemas are read. Avro lets a schema describe values that take no bytes, types that hold themselves and
//! fixed types of any size: a datum of a few bytes could then keep a decoder busy for ever, overflow its stack or ask
//! for all memory there is. Such a schema is refused when it is met, before anything is read under it.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, RecordSchema, UuidSchema};
use thiserror::Error;

use crate::MAX_RECORD_BYTES;

/// The most values that a schema may describe beside repeated ones: its fields, and those of the types in them.
pub const MAX_SCHEMA_VALUES: u64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaFault {
    #[error("the type {0} holds itself")]
    Recursive(String),
    #[error("the type {0} is referred to and not defined before")]
    Undefined(String),
    #[error("the items of an array may take no bytes")]
    EmptyItems,
    #[error("a fixed type has {0} bytes, a record has at most {MAX_RECORD_BYTES}")]
    LargeFixed(usize),
    #[error("the schema describes over {MAX_SCHEMA_VALUES} values")]
    TooManyValues,
}

/// What it costs to read one value of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// The value and all in it; each list counts with one item.
    values: u64,
    /// Whether the value may take no bytes at all.
    may_be_empty: bool,
}

impl Cost {
    const SOME_BYTES: Self = Self { values: 1, may_be_empty: false };
    const NO_BYTES: Self = Self { values: 1, may_be_empty: true };

    /// A list, a map or a union of such values takes a byte at least.
    fn wrapped(self) -> Self {
        Self { values: self.values + 1, may_be_empty: false }
    }
}

/// Refuses a schema under which a small datum can do large harm.
pub fn check(schema: &Schema) -> Result<(), SchemaFault> {
    Bounds::default().cost(schema).map(|_| ())
}

/// The named types so far; `None` while one is being looked at.
#[derive(Default)]
struct Bounds<'s> {
    named: HashMap<&'s Name, Option<Cost>>,
}

impl<'s> Bounds<'s> {
    fn cost(&mut self, schema: &'s Schema) -> Result<Cost, SchemaFault> {
        let cost = match schema {
            Schema::Null => Cost::NO_BYTES,
            Schema::Array(array) => {
                let items = self.cost(&array.items)?;
                if items.may_be_empty {
                    return Err(SchemaFault::EmptyItems);
                }
                items.wrapped()
            }
            Schema::Map(map) => self.cost(&map.types)?.wrapped(),
            Schema::Union(union) => {
                let mut most = Cost::SOME_BYTES;
                for variant in union.variants() {
                    most.values = most.values.max(self.cost(variant)?.values);
                }
                most.wrapped()
            }
            Schema::Record(record) => self.record(record)?,
            Schema::Enum(symbols) => self.define(&symbols.name, Cost::SOME_BYTES),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                if fixed.size > MAX_RECORD_BYTES {
                    return Err(SchemaFault::LargeFixed(fixed.size));
                }
                self.define(&fixed.name, Cost { values: 1, may_be_empty: fixed.size == 0 })
            }
            Schema::Ref { name } => match self.named.get(name) {
                Some(Some(cost)) => *cost,
                Some(None) => return Err(SchemaFault::Recursive(name.to_string())),
                None => return Err(SchemaFault::Undefined(name.to_string())),
            },
            _ => Cost::SOME_BYTES,
        };
        if cost.values > MAX_SCHEMA_VALUES { Err(SchemaFault::TooManyValues) } else { Ok(cost) }
    }

    fn record(&mut self, record: &'s RecordSchema) -> Result<Cost, SchemaFault> {
        self.named.insert(&record.name, None);
        let mut sum = Cost::NO_BYTES;
        for field in &record.fields {
            let cost = self.cost(&field.schema)?;
            sum.values += cost.values;
            sum.may_be_empty &= cost.may_be_empty;
        }
        Ok(self.define(&record.name, sum))
    }

    fn define(&mut self, name: &'s Name, cost: Cost) -> Cost {
        self.named.insert(name, Some(cost));
        cost
    }
}

#[cfg(test)]
#[path = "schema_bounds_tests.rs"]
mod tests;
