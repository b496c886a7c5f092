//! The stack's ports: fixed by default, each of them to be changed, all of them to be shifted.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::bail;
use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct PortFlags {
    /// Port of the gateway
    #[arg(long, env = "SEALTRAIL_GATEWAY_PORT", default_value_t = 8080)]
    gateway_port: u16,
    /// Port of the query API
    #[arg(long, env = "SEALTRAIL_QUERY_PORT", default_value_t = 8081)]
    query_port: u16,
    /// Port of the broker
    #[arg(long, env = "SEALTRAIL_KAFKA_PORT", default_value_t = 9092)]
    kafka_port: u16,
    /// Port of Kafka's controller
    #[arg(long, env = "SEALTRAIL_KAFKA_CONTROLLER_PORT", default_value_t = 9093)]
    kafka_controller_port: u16,
    /// Kafka's listener for clients with a certificate (--secured only)
    #[arg(long, env = "SEALTRAIL_KAFKA_TLS_PORT", default_value_t = 9094)]
    kafka_tls_port: u16,
    /// Port of the schema registry
    #[arg(long, env = "SEALTRAIL_REGISTRY_PORT", default_value_t = 8085)]
    registry_port: u16,
    /// ClickHouse's HTTP port
    #[arg(long, env = "SEALTRAIL_CLICKHOUSE_PORT", default_value_t = 8123)]
    clickhouse_port: u16,
    /// ClickHouse's native port
    #[arg(long, env = "SEALTRAIL_CLICKHOUSE_NATIVE_PORT", default_value_t = 9000)]
    clickhouse_native_port: u16,
    /// The engine's plain HTTP port behind the TLS one (--secured only)
    #[arg(long, env = "SEALTRAIL_CLICKHOUSE_INNER_PORT", default_value_t = 8124)]
    clickhouse_inner_port: u16,
    /// The engine's plain native port behind the TLS one (--secured only)
    #[arg(long, env = "SEALTRAIL_CLICKHOUSE_NATIVE_INNER_PORT", default_value_t = 9001)]
    clickhouse_native_inner_port: u16,
    /// Port of the gateway for health and metrics
    #[arg(long, env = "SEALTRAIL_GATEWAY_ADMIN_PORT", default_value_t = 9101)]
    gateway_admin_port: u16,
    /// Port of the processor for health and metrics
    #[arg(long, env = "SEALTRAIL_PROCESSOR_ADMIN_PORT", default_value_t = 9102)]
    processor_admin_port: u16,
    /// Port of the query API for health and metrics
    #[arg(long, env = "SEALTRAIL_QUERY_ADMIN_PORT", default_value_t = 9103)]
    query_admin_port: u16,
    /// Port of the sealer for health and metrics
    #[arg(long, env = "SEALTRAIL_SEALER_ADMIN_PORT", default_value_t = 9104)]
    sealer_admin_port: u16,
    /// Added to every port, so that several stacks run side by side
    #[arg(long, env = "SEALTRAIL_PORT_SHIFT", default_value_t = 0)]
    port_shift: u16,
}

/// The addresses, all on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub gateway: SocketAddr,
    pub query: SocketAddr,
    pub kafka: SocketAddr,
    pub kafka_controller: SocketAddr,
    /// For clients with a certificate, where the stack is secured.
    pub kafka_tls: SocketAddr,
    pub registry: SocketAddr,
    pub clickhouse: SocketAddr,
    pub clickhouse_native: SocketAddr,
    /// Behind the ports above, where those speak TLS.
    pub clickhouse_inner: SocketAddr,
    pub clickhouse_native_inner: SocketAddr,
    pub gateway_admin: SocketAddr,
    pub processor_admin: SocketAddr,
    pub query_admin: SocketAddr,
    pub sealer_admin: SocketAddr,
}

impl PortFlags {
    pub fn addresses(&self) -> anyhow::Result<Ports> {
        let at = |port: u16| match port.checked_add(self.port_shift) {
            Some(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            None => bail!("port {port} shifted by {} is over 65535; shift by less", self.port_shift),
        };
        Ok(Ports {
            gateway: at(self.gateway_port)?,
            query: at(self.query_port)?,
            kafka: at(self.kafka_port)?,
            kafka_controller: at(self.kafka_controller_port)?,
            kafka_tls: at(self.kafka_tls_port)?,
            registry: at(self.registry_port)?,
            clickhouse: at(self.clickhouse_port)?,
            clickhouse_native: at(self.clickhouse_native_port)?,
            clickhouse_inner: at(self.clickhouse_inner_port)?,
            clickhouse_native_inner: at(self.clickhouse_native_inner_port)?,
            gateway_admin: at(self.gateway_admin_port)?,
            processor_admin: at(self.processor_admin_port)?,
            query_admin: at(self.query_admin_port)?,
            sealer_admin: at(self.sealer_admin_port)?,
        })
    }
}

impl Ports {
    /// Refuses, before anything starts, where somebody else listens.
    pub fn check_free(&self, is_secured: bool) -> anyhow::Result<()> {
        let mut all = vec![
            ("gateway", self.gateway, "SEALTRAIL_GATEWAY_PORT"),
            ("query-api", self.query, "SEALTRAIL_QUERY_PORT"),
            ("kafka", self.kafka, "SEALTRAIL_KAFKA_PORT"),
            ("kafka's controller", self.kafka_controller, "SEALTRAIL_KAFKA_CONTROLLER_PORT"),
            ("schema registry", self.registry, "SEALTRAIL_REGISTRY_PORT"),
            ("clickhouse", self.clickhouse, "SEALTRAIL_CLICKHOUSE_PORT"),
            ("clickhouse's native protocol", self.clickhouse_native, "SEALTRAIL_CLICKHOUSE_NATIVE_PORT"),
            ("gateway's admin port", self.gateway_admin, "SEALTRAIL_GATEWAY_ADMIN_PORT"),
            ("processor's admin port", self.processor_admin, "SEALTRAIL_PROCESSOR_ADMIN_PORT"),
            ("query-api's admin port", self.query_admin, "SEALTRAIL_QUERY_ADMIN_PORT"),
            ("sealer's admin port", self.sealer_admin, "SEALTRAIL_SEALER_ADMIN_PORT"),
        ];
        if is_secured {
            all.extend([
                ("kafka's listener for certificates", self.kafka_tls, "SEALTRAIL_KAFKA_TLS_PORT"),
                ("clickhouse's inner port", self.clickhouse_inner, "SEALTRAIL_CLICKHOUSE_INNER_PORT"),
                (
                    "clickhouse's inner native port",
                    self.clickhouse_native_inner,
                    "SEALTRAIL_CLICKHOUSE_NATIVE_INNER_PORT",
                ),
            ]);
        }
        for (name, address, variable) in all {
            if TcpListener::bind(address).is_err() {
                bail!(
                    "port {} ({name}) is taken; stop what listens there (`make down`?), set {variable}, or shift all with SEALTRAIL_PORT_SHIFT=10000",
                    address.port()
                );
            }
        }
        Ok(())
    }
}
