//! ClickHouse: the engine in `libchdb.so`, opened through clickhouse-local's own main, which can open ClickHouse's own
//! HTTP and native listeners.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::accounts::Accounts;
use crate::layout::Layout;
use crate::ports::Ports;
use crate::secured::certificates::Certificates;
use crate::supervise::Service;

#[derive(Debug, Args)]
pub struct EngineFlags {
    #[arg(long)]
    library: PathBuf,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    http: SocketAddr,
    #[arg(long)]
    native: SocketAddr,
}

pub const DATABASE: &str = "sealtrail";

/// Writes the configuration and answers how to start the engine.
///
/// The engine has no TLS of its own here: clickhouse-local opens the plain listeners only. The secured stack puts
/// [`tls`] before them.
pub fn service(
    library: &Path,
    layout: &Layout,
    accounts: &Accounts,
    (http, native): (SocketAddr, SocketAddr),
) -> anyhow::Result<Service> {
    let data = layout.data("clickhouse");
    fs::create_dir_all(&data)?;
    let (users_file, _) = accounts.write(layout)?;
    let config = layout.run_dir().join("clickhouse.xml");
    fs::write(&config, render_config(&users_file))?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .arg("clickhouse")
        .arg("--library")
        .arg(library)
        .arg("--data")
        .arg(&data)
        .arg("--config")
        .arg(&config)
        .args(["--http", &http.to_string(), "--native", &native.to_string()]);
    Ok(Service::new("clickhouse", command))
}

/// The doors with TLS before the engine's plain ports.
pub fn tls(ports: &Ports, certificates: &Certificates) -> anyhow::Result<Service> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("tls-door").arg("--certificate").arg(&certificates.server);
    command.arg("--key").arg(&certificates.server_key);
    for (listen, target) in
        [(ports.clickhouse, ports.clickhouse_inner), (ports.clickhouse_native, ports.clickhouse_native_inner)]
    {
        command.arg("--door").arg(format!("{listen}={target}"));
    }
    Ok(Service::new("clickhouse-tls", command))
}

/// The library does not open a server's port for Prometheus, but a path of its HTTP port.
const METRICS: &str = "  <http_handlers><defaults/><rule><url>/metrics</url><methods>GET</methods>\
     <handler><type>prometheus</type><metrics>true</metrics><events>true</events></handler></rule></http_handlers>\n";

fn render_config(users_file: &Path) -> String {
    format!(
        "<clickhouse>\n  <logger><level>warning</level><console>1</console></logger>\n  \
         <users_config>{}</users_config>\n  <max_concurrent_queries>200</max_concurrent_queries>\n  \
         <mark_cache_size>268435456</mark_cache_size>\n{METRICS}</clickhouse>\n",
        users_file.display()
    )
}

/// `void *chdb_query_cmdline(int argc, char **argv)` and `const char *chdb_result_error(void *)`.
type QueryCommandLine = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
type ResultError = unsafe extern "C" fn(*mut c_void) -> *const c_char;

/// Serves until the process ends.
pub fn run_engine(flags: &EngineFlags) -> anyhow::Result<()> {
    let arguments = [
        "clickhouse".to_owned(),
        format!("--path={}", flags.data.display()),
        format!("--http_port={}", flags.http.port()),
        format!("--tcp_port={}", flags.native.port()),
        format!("--listen_host={}", flags.http.ip()),
        format!("--config-file={}", flags.config.display()),
        "--query".to_owned(),
        "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT sleepEachRow(3) FROM system.numbers \
         SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=0 FORMAT Null"
            .to_owned(),
    ];
    let arguments: Vec<CString> = arguments.into_iter().map(CString::new).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let error = call_engine(&flags.library, &mut pointers).context("load the clickhouse engine")?;
    bail!("clickhouse ended: {error}")
}

#[allow(unsafe_code, reason = "the engine is a C library; this is the only door to it")]
fn call_engine(library: &Path, arguments: &mut [*mut c_char]) -> anyhow::Result<String> {
    let count = c_int::try_from(arguments.len() - 1)?;
    // SAFETY: the library is the pinned libchdb, whose two functions have these signatures; the argument vector is
    // null-terminated and lives until the call returns
    unsafe {
        let library = libloading::Library::new(library)?;
        let query: libloading::Symbol<'_, QueryCommandLine> = library.get(b"chdb_query_cmdline\0")?;
        let result_error: libloading::Symbol<'_, ResultError> = library.get(b"chdb_result_error\0")?;
        let result = query(count, arguments.as_mut_ptr());
        let error = result_error(result);
        if error.is_null() {
            return Ok("without an error".to_owned());
        }
        Ok(CStr::from_ptr(error).to_string_lossy().into_owned())
    }
}
