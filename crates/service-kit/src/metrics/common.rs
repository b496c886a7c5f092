//! What every service has: its build, its readiness, its listeners and its process.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{Label, Metric, made, opts, register};

const LISTENER: &[Label] = &[Label::from("listener", "`http`, the main port, and `admin`")];

const BUILD_INFO: Metric = Metric::gauge("sealtrail_build_info", "1", "Always 1; the labels say what runs.")
    .labels(&[Label::from("service", "the program's name"), Label::from("version", "the program's version")]);
pub(super) const PART_READY: Metric = Metric::gauge(
    "sealtrail_part_ready",
    "0 or 1",
    "Whether the part is ready; a service is ready when all of its parts are. /readyz says why one is not.",
)
.labels(&[Label::from("part", "the parts that /readyz lists")]);
const OPEN_CONNECTIONS: Metric =
    Metric::gauge("sealtrail_http_open_connections", "connections", "Connections that are open.")
        .labels(LISTENER);
const MAX_CONNECTIONS: Metric = Metric::gauge(
    "sealtrail_http_max_connections",
    "connections",
    "Connections that may be open at once; one more waits in the listener's backlog.",
)
.labels(LISTENER);
const CONNECTIONS: Metric =
    Metric::counter("sealtrail_http_connections_total", "connections", "Connections that were accepted.")
        .labels(LISTENER);
const REFUSED_CONNECTIONS: Metric = Metric::counter(
    "sealtrail_http_refused_connections_total",
    "connections",
    "Connections that were closed at once because their address had http.max_connections_per_peer open.",
)
.labels(LISTENER);
const FAILED_HANDSHAKES: Metric = Metric::counter(
    "sealtrail_http_failed_handshakes_total",
    "connections",
    "Connections that were closed because their TLS handshake failed or took longer than http.header_timeout_ms.",
)
.labels(LISTENER);
const BODY_BYTES: Metric = Metric::counter(
    "sealtrail_http_received_body_bytes_total",
    "bytes",
    "Bytes of request bodies that were read, those that were thrown away included.",
)
.labels(LISTENER);

/// The process collector's own; on Linux only.
const PROCESS: [Metric; 7] = [
    Metric::counter("process_cpu_seconds_total", "seconds", "Processor time, user and system."),
    Metric::gauge("process_resident_memory_bytes", "bytes", "Memory that is resident."),
    Metric::gauge("process_virtual_memory_bytes", "bytes", "Virtual memory."),
    Metric::gauge("process_open_fds", "files", "Open file descriptors, sockets included."),
    Metric::gauge("process_max_fds", "files", "File descriptors that the process may open."),
    Metric::gauge("process_threads", "threads", "Threads of the operating system."),
    Metric::gauge("process_start_time_seconds", "seconds", "Begin of the process, in seconds since 1970."),
];

/// The metrics that all services have.
pub const COMMON: &[Metric] = &[
    BUILD_INFO,
    PART_READY,
    OPEN_CONNECTIONS,
    MAX_CONNECTIONS,
    CONNECTIONS,
    REFUSED_CONNECTIONS,
    FAILED_HANDSHAKES,
    BODY_BYTES,
    PROCESS[0],
    PROCESS[1],
    PROCESS[2],
    PROCESS[3],
    PROCESS[4],
    PROCESS[5],
    PROCESS[6],
];

/// A listener of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Http,
    Admin,
}

/// What is counted for one listener.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    pub open: IntGauge,
    pub most: IntGauge,
    pub accepted: IntCounter,
    pub refused: IntCounter,
    pub failed_handshakes: IntCounter,
    pub body_bytes: IntCounter,
}

#[derive(Debug, Clone)]
pub(super) struct Common {
    open: IntGaugeVec,
    most: IntGaugeVec,
    accepted: IntCounterVec,
    refused: IntCounterVec,
    failed_handshakes: IntCounterVec,
    body_bytes: IntCounterVec,
}

impl Common {
    pub fn new(registry: &Registry, program: &str, version: &str) -> Self {
        let gauges =
            |metric: &Metric| register(registry, made(IntGaugeVec::new(opts(metric), &metric.label_names())));
        let counters = |metric: &Metric| {
            register(registry, made(IntCounterVec::new(opts(metric), &metric.label_names())))
        };
        gauges(&BUILD_INFO).with_label_values(&[program, version]).set(1);
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the registry is new");
        Self {
            open: gauges(&OPEN_CONNECTIONS),
            most: gauges(&MAX_CONNECTIONS),
            accepted: counters(&CONNECTIONS),
            refused: counters(&REFUSED_CONNECTIONS),
            failed_handshakes: counters(&FAILED_HANDSHAKES),
            body_bytes: counters(&BODY_BYTES),
        }
    }

    pub fn listener(&self, listener: Listener) -> ListenerMetrics {
        let label = match listener {
            Listener::Http => ["http"],
            Listener::Admin => ["admin"],
        };
        ListenerMetrics {
            open: self.open.with_label_values(&label),
            most: self.most.with_label_values(&label),
            accepted: self.accepted.with_label_values(&label),
            refused: self.refused.with_label_values(&label),
            failed_handshakes: self.failed_handshakes.with_label_values(&label),
            body_bytes: self.body_bytes.with_label_values(&label),
        }
    }
}
