//! The start that all services share: flags, the reference that they print of themselves, settings, logs, the admin
//! port and the signals.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use utoipa::openapi::OpenApi;

use crate::config::{CommonFlags, ConfigError, LogConfig, load};
use crate::metrics::{Metric, Metrics};
use crate::{Readiness, Shutdown, admin, http, logs, reference};

/// What a service is, before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The program, such as `sealtrail-gateway`.
    pub program: &'static str,
    /// Its name in the environment, such as `GATEWAY`.
    pub environment: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    pub version: &'static str,
    /// What must be ready before the service is.
    pub parts: &'static [&'static str],
    /// All metrics that it has beside those of every service.
    pub metrics: &'static [Metric],
    /// The description of its HTTP API, if it has one.
    pub openapi: Option<fn() -> OpenApi>,
}

/// A service's settings.
pub trait Settings: Default + Serialize + DeserializeOwned + JsonSchema {
    fn log(&self) -> &LogConfig;
    fn admin(&self) -> SocketAddr;
    /// What the bounds of single settings cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// What a service holds once it has started.
#[derive(Debug, Clone)]
pub struct Started {
    pub readiness: Readiness,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
}

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    common: CommonFlags,
    #[command(flatten)]
    reference: ReferenceFlags,
}

/// What a service does instead of running.
#[derive(Debug, Clone, Default, Args)]
struct ReferenceFlags {
    /// Print all settings with their defaults, as Markdown, and end
    #[arg(long)]
    settings: bool,
    /// Print all metrics, as Markdown, and end
    #[arg(long, conflicts_with = "settings")]
    metrics: bool,
    /// Read all settings, say what is wrong with one, and end; connects to nothing
    #[arg(long, conflicts_with_all = ["settings", "metrics"])]
    check: bool,
    /// Print the description of the HTTP API, as OpenAPI 3.1 in JSON, and end
    #[arg(long, conflicts_with_all = ["settings", "metrics", "check"])]
    openapi: bool,
}

/// Why a service does not begin.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Bind(#[from] http::BindError),
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

impl Service {
    /// A service's whole `main`.
    pub async fn run<C, E, Serve>(&self, serve: Serve) -> ExitCode
    where
        C: Settings,
        E: Display,
        Serve: AsyncFnOnce(C, Started) -> Result<(), E>,
    {
        let flags = self.flags();
        if flags.reference.settings {
            return print(&reference::settings::<C>(self.program, self.environment));
        }
        if flags.reference.metrics {
            return print(&Metrics::reference(self.program, self.metrics));
        }
        if flags.reference.openapi {
            return match self.openapi {
                Some(openapi) => print(&reference::openapi(&openapi())),
                None => self.failed(&"it has no HTTP API beyond /healthz, /readyz and /metrics"),
            };
        }
        if flags.reference.check {
            return match self.read::<C>(&flags.common) {
                Ok(_) => ExitCode::SUCCESS,
                Err(error) => self.failed(&error),
            };
        }
        let (config, started) = match self.start::<C>(&flags.common).await {
            Ok(started) => started,
            Err(error) => return self.failed(&error),
        };
        match serve(config, started).await {
            Ok(()) => {
                tracing::info!("{} stopped", self.program);
                ExitCode::SUCCESS
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "{} stopped", self.program);
                self.failed(&error)
            }
        }
    }

    fn read<C: Settings>(&self, flags: &CommonFlags) -> Result<C, ConfigError> {
        let config: C = load(self.environment, flags)?;
        config.check()?;
        Ok(config)
    }

    async fn start<C: Settings>(&self, flags: &CommonFlags) -> Result<(C, Started), StartError> {
        let config: C = self.read(flags)?;
        logs::init(config.log());
        let readiness = Readiness::of(self.parts);
        let metrics = Metrics::of(self.program, self.version, self.metrics);
        let admin_listener = http::bind(config.admin()).await?;
        let shutdown = Shutdown::on_signals(&readiness)?;
        admin::spawn(admin_listener, readiness.clone(), metrics.clone());
        Ok((config, Started { readiness, metrics, shutdown }))
    }

    fn flags(&self) -> Flags {
        let order = format!(
            "Settings: defaults, then --config FILE (TOML), then SEALTRAIL_{}__<KEY>, then --set KEY=VALUE.",
            self.environment
        );
        let command =
            Flags::command().name(self.program).version(self.version).about(self.about).after_help(order);
        Flags::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    fn failed(&self, error: &dyn Display) -> ExitCode {
        eprintln!("{}: {error:#}", self.program);
        ExitCode::FAILURE
    }
}

/// A reader that has gone away is no failure.
fn print(text: &str) -> ExitCode {
    let _gone = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
