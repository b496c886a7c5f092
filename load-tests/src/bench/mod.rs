//! Measures that are kept: each is two sides in one run on one machine, in turn, so that the machine itself drops out.

pub mod args;
pub mod gateway;

mod alone;
mod bodies;
pub(crate) mod count;
pub(crate) mod cpu;
pub(crate) mod figures;
mod live;
mod load;
pub(crate) mod marks;
mod records;
mod scene;
mod side;
mod table;
