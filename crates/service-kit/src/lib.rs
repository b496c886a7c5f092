//! What every service needs and none should write twice: configuration, logs, lifecycle, health, metrics, HTTP.

pub mod admin;
pub mod clock;
pub mod config;
pub mod docs_page;
pub mod health;
pub mod http;
mod http_config;
pub mod lifecycle;
mod lingering;
pub mod logs;
pub mod metrics;
mod peers;
pub mod problem;
pub mod reference;
pub mod request_context;
pub mod requests;
pub mod service;
pub mod setting;
pub mod toml_file;

pub use client_security::{Secret, secret};
pub use health::Readiness;
pub use lifecycle::Shutdown;
pub use problem::Problem;
pub use request_context::RequestContext;
