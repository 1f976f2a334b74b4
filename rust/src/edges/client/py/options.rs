//! What Python tells a client, read from a mapping; each option by its name in the configuration.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Uri};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::super::super::compress::{Coding, Compressor};
use super::super::proxy::Proxies;
use super::super::tls::{ClientSettings, ClientTls, Handshake, Pem, Wrong};
use super::super::{Headers, grpc};

/// `ValueError(option, message)`.
pub fn wrong(wrong: Wrong) -> PyErr {
    PyValueError::new_err((wrong.option, wrong.message))
}

pub fn under_tls(inner: Wrong) -> PyErr {
    wrong(Wrong::new(format!("tls.{}", inner.option), inner.message))
}

pub fn seconds(option: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| wrong(Wrong::new(option, "is not a number of seconds that a clock can take")))
}

/// `tls` as the configuration has it, each option by its name there.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct TlsOptions {
    ca_file: Option<PathBuf>,
    ca_pem: Option<String>,
    include_system_ca_certs_pool: bool,
    cert_file: Option<PathBuf>,
    cert_pem: Option<String>,
    key_file: Option<PathBuf>,
    key_pem: Option<String>,
    insecure_skip_verify: bool,
    server_name_override: Option<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    cipher_suites: Vec<String>,
    curve_preferences: Vec<String>,
    reload_interval: f64,
}

impl TlsOptions {
    pub fn build(self, alpn: &[&[u8]]) -> PyResult<ClientTls> {
        let reload = seconds("tls.reload_interval", self.reload_interval)?;
        let settings = ClientSettings {
            ca: Pem { file: self.ca_file, text: self.ca_pem },
            include_system_ca: self.include_system_ca_certs_pool,
            certificate: Pem { file: self.cert_file, text: self.cert_pem },
            key: Pem { file: self.key_file, text: self.key_pem },
            skip_verify: self.insecure_skip_verify,
            server_name: self.server_name_override,
            handshake: Handshake {
                min_version: self.min_version,
                max_version: self.max_version,
                cipher_suites: self.cipher_suites,
                curve_preferences: self.curve_preferences,
            },
            reload_interval: (!reload.is_zero()).then_some(reload),
        };
        ClientTls::new(settings, alpn).map_err(under_tls)
    }
}

/// What both clients are told.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Common {
    pub tls: Option<TlsOptions>,
    pub compression: String,
    pub level: Option<i32>,
    pub headers: Vec<(String, String)>,
    pub user_agent: String,
    pub proxy_url: Option<String>,
}

impl Common {
    pub fn headers(&self) -> PyResult<Headers> {
        headers(&self.headers)
    }

    pub fn user_agent(&self) -> PyResult<HeaderValue> {
        HeaderValue::try_from(&self.user_agent)
            .map_err(|_| wrong(Wrong::new("user_agent", "has characters a header cannot carry")))
    }

    pub fn compressor(&self, coding: Option<Coding>) -> PyResult<Option<Compressor>> {
        match coding {
            Some(Coding::Identity) => Ok(None),
            Some(coding) => Ok(Some(Compressor { coding, level: self.level })),
            None => {
                let message = format!("is '{}', which is not known here", self.compression);
                Err(wrong(Wrong::new("compression", message)))
            }
        }
    }

    pub fn proxies(&self) -> PyResult<Proxies> {
        match &self.proxy_url {
            Some(url) => {
                Proxies::explicit(url).map_err(|message| wrong(Wrong::new("proxy_url", message)))
            }
            None => Ok(Proxies::from_environment()),
        }
    }
}

pub fn headers(pairs: &[(String, String)]) -> PyResult<Headers> {
    let read = |(name, value): &(String, String)| {
        grpc::header(name, value)
            .map_err(|message| wrong(Wrong::new(format!("headers.{name}"), message)))
    };
    pairs.iter().map(read).collect()
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct GrpcOptions {
    pub endpoint: String,
    pub authority: Option<String>,
    pub balancer_name: String,
    pub wait_for_ready: bool,
    /// (time, timeout, permit_without_stream)
    pub keepalive: Option<(f64, f64, bool)>,
    pub look_up_interval: f64,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct HttpOptions {
    /// For traces, metrics, logs and profiles.
    pub urls: (Option<String>, Option<String>, Option<String>, Option<String>),
    pub json: bool,
    pub http2: bool,
    pub max_conns_per_host: Option<usize>,
    pub max_idle_conns_per_host: Option<usize>,
    pub idle_conn_timeout: f64,
    pub keep_alives: bool,
    /// (http2_read_idle_timeout, http2_ping_timeout)
    pub ping: Option<(f64, f64)>,
}

pub fn uri(option: &str, url: &str) -> PyResult<Uri> {
    let found: Option<Uri> = url.parse().ok();
    let fits = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    };
    found
        .filter(fits)
        .ok_or_else(|| wrong(Wrong::new(option, "is not a URL such as http://host:4318")))
}

pub fn parse_addresses(
    addresses: Option<Vec<String>>,
) -> PyResult<Option<Vec<std::net::SocketAddr>>> {
    let parse = |address: &String| {
        address
            .parse()
            .map_err(|_| wrong(Wrong::new("addresses", "are not IP addresses and ports")))
    };
    addresses.map(|addresses| addresses.iter().map(parse).collect()).transpose()
}
