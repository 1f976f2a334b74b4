//! Python's view of the client.

mod options;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tokio::task::AbortHandle;

use super::super::compress::Coding;
use super::super::events::Events;
use super::super::py::{Event, PyEvents};
use super::super::runtime;
use super::channel::{self, Balancer, Channel};
use super::connection::KeepAlive;
use super::dial::Dialer;
use super::resolve::{Endpoint, Resolver};
use super::tls::Wrong;
use super::{Outcome, grpc, http as web};
use crate::wire::py::PyBatch;
use options::{Common, GrpcOptions, HttpOptions, headers, parse_addresses, seconds, uri, wrong};

/// As gRPC does: an attempt to connect may take this long.
const CONNECT: Duration = Duration::from_secs(20);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyOutcome>()?;
    module.add_class::<PyAnswer>()?;
    module.add_class::<PyCall>()?;
    module.add_class::<PyGrpcClient>()?;
    module.add_class::<PyHttpClient>()
}

/// What became of a request.
#[pyclass(name = "Outcome", module = "heliograph._core", frozen)]
struct PyOutcome(Outcome);

#[pymethods]
impl PyOutcome {
    #[getter]
    fn ok(&self) -> bool {
        self.0.ok
    }

    #[getter]
    fn retryable(&self) -> bool {
        self.0.retryable
    }

    #[getter]
    fn code(&self) -> u8 {
        self.0.code as u8
    }

    #[getter]
    fn status(&self) -> u16 {
        self.0.status
    }

    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    #[getter]
    fn retry_after(&self) -> Option<f64> {
        self.0.retry_after.map(|after| after.as_secs_f64())
    }

    #[getter]
    fn rejected(&self) -> i64 {
        self.0.rejected
    }

    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.json)
    }
}

/// The answer to a POST.
#[pyclass(name = "Answer", module = "heliograph._core", frozen)]
struct PyAnswer(web::Answer);

#[pymethods]
impl PyAnswer {
    #[getter]
    fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    #[getter]
    fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.0.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    #[getter]
    fn retry_after(&self) -> Option<f64> {
        super::outcome::retry_after(&self.0.headers).map(|after| after.as_secs_f64())
    }
}

/// A request on its way.
#[pyclass(name = "Call", module = "heliograph._core", frozen)]
struct PyCall(AbortHandle);

#[pymethods]
impl PyCall {
    fn cancel(&self) {
        self.0.abort();
    }
}

/// Run a request of so many bytes; its result goes to the target through the events. The task
/// itself makes the request: a future that is moved into another leaves its room behind.
fn start<F, T>(
    events: &Arc<Events<Event>>,
    target: Py<PyAny>,
    bytes: usize,
    request: impl FnOnce() -> F + Send + 'static,
    read: fn(F::Output) -> T,
) -> PyCall
where
    F: Future<Output: 'static> + Send,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let events = events.clone();
    let away = events.load.away(bytes);
    let task = runtime::handle().spawn(async move {
        let result = read(request().await);
        drop(away);
        events.push(Event {
            target: Arc::new(target),
            payload: Box::new(move |py| result.into_bound_py_any(py)),
        });
    });
    PyCall(task.abort_handle())
}

/// Sends batches to one gRPC endpoint. Connects at the first.
#[pyclass(name = "GrpcClient", module = "heliograph._core", frozen)]
struct PyGrpcClient {
    events: Arc<Events<Event>>,
    client: Arc<grpc::Client>,
}

#[pymethods]
impl PyGrpcClient {
    #[new]
    fn new(events: &PyEvents, settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options: GrpcOptions = settings.extract()?;
        let common: Common = settings.extract()?;
        let endpoint = Endpoint::parse(&options.endpoint)
            .map_err(|message| wrong(Wrong::new("endpoint", message)))?;
        let balancer = match options.balancer_name.as_str() {
            "round_robin" => Balancer::RoundRobin,
            "pick_first" => Balancer::PickFirst,
            name => {
                let message = format!("is '{name}'; there are round_robin and pick_first");
                return Err(wrong(Wrong::new("balancer_name", message)));
            }
        };
        let keep_alive = match options.keepalive {
            Some((time, timeout, idle)) => Some(KeepAlive {
                time: seconds("keepalive.time", time)?,
                timeout: seconds("keepalive.timeout", timeout)?,
                idle,
            }),
            None => None,
        };
        let (headers, user_agent) = (common.headers()?, common.user_agent()?);
        let compressor = common.compressor(Coding::from_grpc(&common.compression))?;
        let proxies = common.proxies()?;
        let py = settings.py();
        let tls = common.tls;
        let tls = py.detach(|| tls.map(|tls| tls.build(&[b"h2"])).transpose())?;
        let authority = options
            .authority
            .or_else(|| tls.as_ref()?.server_name_override().map(str::to_string))
            .unwrap_or_else(|| endpoint.authority.clone());
        let settings =
            grpc::Settings { tls: tls.is_some(), authority, compressor, user_agent, headers };
        let dialer = Dialer {
            resolver: Resolver::default(),
            proxies,
            tls,
            timeout: CONNECT,
            unanswered: keep_alive.map(|keep| keep.timeout),
            next: AtomicUsize::new(0),
        };
        let channel = channel::Settings {
            host: endpoint.host().into(),
            target: endpoint.target,
            balancer,
            keep_alive,
            wait_for_ready: options.wait_for_ready,
            look_up_interval: seconds("look_up_interval", options.look_up_interval)?,
        };
        let client = grpc::Client::new(settings, Channel::new(channel, dialer))
            .map_err(|message| wrong(Wrong::new("authority", message)))?;
        Ok(Self { events: events.0.clone(), client: Arc::new(client) })
    }

    /// Send a batch once; `target(Outcome)` follows, unless the call is cancelled before.
    #[pyo3(signature = (batch, timeout, target, headers=None))]
    fn send(
        &self,
        batch: &PyBatch,
        timeout: f64,
        target: Py<PyAny>,
        headers: Option<Vec<(String, String)>>,
    ) -> PyResult<PyCall> {
        let extra = self::headers(&headers.unwrap_or_default())?;
        let timeout = seconds("timeout", timeout)?;
        let (client, batch) = (self.client.clone(), batch.0.clone());
        let (bytes, send) = (batch.data.len(), move || client.send(batch, timeout, extra));
        Ok(start(&self.events, target, bytes, send, PyOutcome))
    }

    /// What is wrong with an endpoint, continuing a sentence that begins with its name.
    #[staticmethod]
    fn check_endpoint(endpoint: &str) -> Option<String> {
        Endpoint::parse(endpoint).err()
    }

    /// Answer every later look-up of a name with these addresses.
    fn pin(&self, addresses: Option<Vec<String>>) -> PyResult<()> {
        self.client.channel().dialer().resolver.pin(parse_addresses(addresses)?);
        Ok(())
    }

    /// Close every connection once the calls on it have ended.
    fn close(&self) {
        self.client.channel().close();
    }
}

/// Sends batches and whatever else to HTTP servers.
#[pyclass(name = "HttpClient", module = "heliograph._core", frozen)]
struct PyHttpClient {
    events: Arc<Events<Event>>,
    client: Arc<web::Client>,
}

#[pymethods]
impl PyHttpClient {
    #[new]
    fn new(events: &PyEvents, settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        let options: HttpOptions = settings.extract()?;
        let common: Common = settings.extract()?;
        let (headers, user_agent) = (common.headers()?, common.user_agent()?);
        let compressor = common.compressor(Coding::from_http(&common.compression))?;
        let proxies = common.proxies()?;
        let read = |url: Option<String>, option| url.map(|url| uri(option, &url)).transpose();
        let (traces, metrics, logs, profiles) = options.urls;
        let uris = [
            read(traces, "traces_endpoint")?,
            read(metrics, "metrics_endpoint")?,
            read(logs, "logs_endpoint")?,
            read(profiles, "profiles_endpoint")?,
        ];
        let alpn: &[&[u8]] = if options.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        let tls = common.tls;
        let tls = settings.py().detach(|| tls.map(|tls| tls.build(alpn)).transpose())?;
        let idle = seconds("idle_conn_timeout", options.idle_conn_timeout)?;
        let ping = match options.ping {
            Some((idle, timeout)) => Some((
                seconds("http2_read_idle_timeout", idle)?,
                seconds("http2_ping_timeout", timeout)?,
            )),
            None => None,
        };
        let settings = web::Settings {
            uris,
            json: options.json,
            compressor,
            user_agent,
            headers,
            max_connections: options.max_conns_per_host,
            max_idle_per_host: options.max_idle_conns_per_host.unwrap_or(usize::MAX),
            idle_timeout: (!idle.is_zero()).then_some(idle),
            keep_alives: options.keep_alives,
            ping,
        };
        let dialer = Dialer {
            resolver: Resolver::default(),
            proxies,
            tls,
            timeout: CONNECT,
            unanswered: None,
            next: AtomicUsize::new(0),
        };
        let client = Arc::new(web::Client::new(settings, dialer));
        Ok(Self { events: events.0.clone(), client })
    }

    /// Send a batch once; `target(Outcome)` follows, unless the call is cancelled before.
    #[pyo3(signature = (batch, timeout, target, headers=None))]
    fn send(
        &self,
        batch: &PyBatch,
        timeout: f64,
        target: Py<PyAny>,
        headers: Option<Vec<(String, String)>>,
    ) -> PyResult<PyCall> {
        let extra = self::headers(&headers.unwrap_or_default())?;
        let timeout = seconds("timeout", timeout)?;
        let (client, batch) = (self.client.clone(), batch.0.clone());
        let (bytes, send) = (batch.data.len(), move || client.send(batch, timeout, extra));
        Ok(start(&self.events, target, bytes, send, PyOutcome))
    }

    /// Send a body; `target(Answer)` follows whatever its status, or `target(Outcome)` without one.
    #[pyo3(signature = (url, headers, body, timeout, target, limit=4194304))]
    fn post(
        &self,
        url: &str,
        headers: Vec<(String, String)>,
        body: PyBackedBytes,
        timeout: f64,
        target: Py<PyAny>,
        limit: usize,
    ) -> PyResult<PyCall> {
        let uri = uri("url", url)?;
        let extra = self::headers(&headers)?;
        let timeout = seconds("timeout", timeout)?;
        let (bytes, body) = (body.len(), Bytes::from_owner(body));
        let client = self.client.clone();
        let post = move || client.post(uri, extra, body, timeout, limit);
        Ok(start(&self.events, target, bytes, post, |answered| match answered {
            Ok(answer) => Reply::Answer(PyAnswer(answer)),
            Err(outcome) => Reply::Outcome(PyOutcome(outcome)),
        }))
    }

    /// Answer every later look-up of a name with these addresses.
    fn pin(&self, addresses: Option<Vec<String>>) -> PyResult<()> {
        self.client.dialer().resolver.pin(parse_addresses(addresses)?);
        Ok(())
    }
}

#[derive(IntoPyObject)]
enum Reply {
    Answer(PyAnswer),
    Outcome(PyOutcome),
}
