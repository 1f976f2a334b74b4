//! Python's view of the server.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyKeyError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;

use super::io::Enforcement;
use super::tls::Pem;
use super::{
    Call, Claims, Codings, Cors, Endpoint, Handlers, Keepalive, Outcome, Protocol, Question,
    Server, Settings, TlsSettings,
};
use crate::edges::py::{Event, Payload, PyEvents};
use crate::edges::status::{Code, Status, jittered};
use crate::platform::socket::{self, Number, into_number};
use crate::wire::Batch;
use crate::wire::py::{PyBatch, PySignal, monotonic};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyServer>()?;
    module.add_class::<PyRequest>()?;
    module.add_class::<PyQuestion>()
}

/// One export request that waits for its answer; dropped unanswered, the sender hears "try
/// again".
#[pyclass(name = "OtlpRequest", module = "heliograph._core", frozen)]
struct PyRequest {
    id: u64,
    batch: Batch,
    reply: Mutex<Option<oneshot::Sender<Outcome>>>,
}

impl PyRequest {
    fn answer(&self, outcome: Outcome) -> bool {
        let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        reply.is_some_and(|reply| reply.send(outcome).is_ok())
    }
}

#[pymethods]
impl PyRequest {
    /// What `on_gone` calls it.
    #[getter]
    fn id(&self) -> u64 {
        self.id
    }

    #[getter]
    fn signal(&self) -> PySignal {
        self.batch.signal.into()
    }

    #[getter]
    fn batch(&self) -> PyBatch {
        PyBatch(self.batch.clone())
    }

    /// When the sender stops waiting, on the scale of `time.monotonic`.
    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let deadline = self.batch.context.deadline;
        deadline.map(|deadline| monotonic(py, deadline.max(Instant::now()))).transpose()
    }

    /// Answer that the batch is delivered; false when nobody waits for it any more.
    #[pyo3(signature = (rejected=0, message=""))]
    fn ok(&self, rejected: u64, message: &str) -> bool {
        self.answer(Outcome::Ok { rejected, message: message.into() })
    }

    /// Answer with a gRPC status; `retry_after` seconds make it "try again", jittered and at most
    /// two seconds.
    #[pyo3(signature = (code, message, retry_after=None))]
    fn fail(&self, code: u32, message: String, retry_after: Option<f64>) -> bool {
        self.answer(Outcome::Fail(status(code, message, retry_after)))
    }
}

/// "Who is this?", asked before a body is read; dropped unanswered, the sender hears "try again".
#[pyclass(name = "OtlpQuestion", module = "heliograph._core", frozen)]
struct PyQuestion {
    headers: HeaderMap,
    reply: Mutex<Option<oneshot::Sender<Result<Claims, Status>>>>,
}

impl PyQuestion {
    fn answer(&self, answer: Result<Claims, Status>) -> bool {
        let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        reply.is_some_and(|reply| reply.send(answer).is_ok())
    }
}

#[pymethods]
impl PyQuestion {
    /// Headers by lower-case name, several values joined by commas.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for name in self.headers.keys() {
            let values = self.headers.get_all(name).iter();
            let values: Vec<_> =
                values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            headers.set_item(name.as_str(), values.join(", "))?;
        }
        Ok(headers)
    }

    /// Let the sender in; the claims go into the context of its batch.
    fn admit(&self, claims: Claims) -> bool {
        self.answer(Ok(claims))
    }

    /// Answer with a gRPC status, as `OtlpRequest.fail`.
    #[pyo3(signature = (code, message, retry_after=None))]
    fn fail(&self, code: u32, message: String, retry_after: Option<f64>) -> bool {
        self.answer(Err(status(code, message, retry_after)))
    }
}

fn status(code: u32, message: String, retry_after: Option<f64>) -> Status {
    let mut status = Status::new(Code::from_number(code), message);
    status.retry_after = retry_after.map(|after| jittered(seconds(after)));
    status
}

/// Seconds from Python; what is no duration is zero.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// A listening OTLP server.
#[pyclass(name = "OtlpServer", module = "heliograph._core", frozen)]
struct PyServer {
    server: Server,
    events: Arc<crate::edges::events::Events<Event>>,
}

#[pymethods]
impl PyServer {
    /// Bind and begin to serve; each request becomes an event for `on_request`, each warning one
    /// for `on_warning`, and a request whose sender has gone before its answer is an id for
    /// `on_gone`. With `on_question` nobody's body is read before the answer.
    #[new]
    #[pyo3(signature = (events, settings, on_request, on_gone, on_warning, on_question=None))]
    fn new(
        py: Python<'_>,
        events: &PyEvents,
        settings: &Bound<'_, PyDict>,
        on_request: Py<PyAny>,
        on_gone: Py<PyAny>,
        on_warning: Py<PyAny>,
        on_question: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let (endpoint, settings) = (read_endpoint(settings)?, read_settings(settings)?);
        let events = events.0.clone();
        let (calls, target) = (events.clone(), Arc::new(on_request));
        let call = move |call: Call| {
            let Call { id, batch, reply } = call;
            let request = PyRequest { id, batch, reply: Mutex::new(Some(reply)) };
            let payload: Payload = Box::new(|py| Ok(Bound::new(py, request)?.into_any()));
            calls.push(Event { target: target.clone(), payload });
        };
        let (leavers, target) = (events.clone(), Arc::new(on_gone));
        let gone = move |id: u64| {
            let payload: Payload = Box::new(move |py| Ok(id.into_pyobject(py)?.into_any()));
            leavers.push(Event { target: target.clone(), payload });
        };
        let (warnings, target) = (events.clone(), Arc::new(on_warning));
        let warn = move |text: String| {
            let payload: Payload = Box::new(|py| Ok(text.into_pyobject(py)?.into_any()));
            warnings.push(Event { target: target.clone(), payload });
        };
        let question = on_question.map(|target| {
            let (events, target) = (events.clone(), Arc::new(target));
            let ask = move |question: Question| {
                let reply = Mutex::new(Some(question.reply));
                let question = PyQuestion { headers: question.headers, reply };
                let payload: Payload = Box::new(|py| Ok(Bound::new(py, question)?.into_any()));
                events.push(Event { target: target.clone(), payload });
            };
            Box::new(ask) as Box<dyn Fn(Question) + Send + Sync>
        });
        let handlers = Handlers {
            call: Box::new(call),
            gone: Box::new(gone),
            question,
            warn: Box::new(warn),
            load: events.load.clone(),
        };
        let server = py.detach(|| Server::start(endpoint, settings, handlers)).map_err(
            |error| match error.raw_os_error() {
                Some(errno) => PyOSError::new_err((errno, error.to_string())),
                None => PyOSError::new_err(error.to_string()),
            },
        )?;
        Ok(Self { server, events })
    }

    /// The address that is really bound: `host:port`, or the path of a Unix socket.
    #[getter]
    fn address(&self) -> &str {
        &self.server.address
    }

    /// A copy of the socket that is listened on, as a descriptor that the caller closes.
    fn socket(&self) -> PyResult<Number> {
        Ok(into_number(self.server.socket()?))
    }

    /// How many requests never reached `on_request`: (refused, invalid).
    fn turned_away(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let counts = &self.server.door().counts;
        (counts.refused.load(Relaxed), counts.invalid.load(Relaxed))
    }

    /// Take nothing new, let requests finish within `grace` seconds, then close all; call
    /// `done(None)` on the loop at the end.
    fn stop(&self, grace: f64, done: Py<PyAny>) {
        let (events, target) = (self.events.clone(), Arc::new(done));
        self.server.stop(seconds(grace), move || {
            events.push(Event { target, payload: Box::new(|py| Ok(py.None().into_bound(py))) });
        });
    }
}

/// An entry of the settings.
fn get<'py, T: FromPyObjectOwned<'py>>(settings: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = settings.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    value.extract().map_err(Into::into)
}

fn duration(settings: &Bound<'_, PyDict>, name: &str) -> PyResult<Duration> {
    Ok(seconds(get(settings, name)?))
}

fn maybe(settings: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<Duration>> {
    Ok(get::<Option<f64>>(settings, name)?.map(seconds))
}

fn read_endpoint(settings: &Bound<'_, PyDict>) -> PyResult<Endpoint> {
    let unix: Option<PathBuf> = get(settings, "unix")?;
    Ok(match (get::<Option<Number>>(settings, "socket")?, unix) {
        (None, None) => Endpoint::Tcp(get(settings, "host")?, get(settings, "port")?),
        (None, Some(path)) => Endpoint::Unix(path),
        (Some(number), _) if number < 0 => {
            return Err(PyValueError::new_err("the socket is closed"));
        }
        (Some(number), _) => {
            // SAFETY: it is not -1, and the caller keeps it open during this call.
            Endpoint::Open(unsafe { socket::copy(number) }?)
        }
    })
}

fn read_settings(settings: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let signals: Vec<PySignal> = get(settings, "signals")?;
    let paths: Vec<(String, PySignal)> = get(settings, "paths")?;
    let response_headers: Vec<(String, String)> = get(settings, "response_headers")?;
    let header = |(name, value): (String, String)| {
        let invalid = || PyValueError::new_err(format!("{name} cannot be a header"));
        let name = HeaderName::from_str(&name).map_err(|_| invalid())?;
        Ok((name.clone(), HeaderValue::from_str(&value).map_err(|_| invalid())?))
    };
    let cors: Option<Bound<'_, PyDict>> = get(settings, "cors")?;
    let tls: Option<Bound<'_, PyDict>> = get(settings, "tls")?;
    Ok(Settings {
        protocol: if get(settings, "grpc")? { Protocol::Grpc } else { Protocol::Http },
        signals: signals.into_iter().map(Into::into).collect(),
        paths: paths.into_iter().map(|(path, signal)| (path, signal.into())).collect(),
        max_bytes: get(settings, "max_bytes")?,
        max_streams: get(settings, "max_streams")?,
        include_metadata: get(settings, "include_metadata")?,
        codings: Codings(get(settings, "codings")?),
        header_timeout: duration(settings, "header_timeout")?,
        body_timeout: duration(settings, "body_timeout")?,
        write_timeout: duration(settings, "write_timeout")?,
        keep_alives: get(settings, "keep_alives")?,
        keepalive: Keepalive {
            max_idle: maybe(settings, "max_idle")?,
            max_age: maybe(settings, "max_age")?,
            max_age_grace: maybe(settings, "max_age_grace")?,
            time: duration(settings, "ping_time")?,
            timeout: duration(settings, "ping_timeout")?,
            enforcement: Enforcement {
                min_time: duration(settings, "ping_min_time")?,
                permit_without_stream: get(settings, "ping_without_stream")?,
            },
        },
        cors: cors.as_ref().map(read_cors).transpose()?,
        response_headers: response_headers.into_iter().map(header).collect::<PyResult<_>>()?,
        tls: tls.as_ref().map(read_tls).transpose()?,
    })
}

fn read_cors(cors: &Bound<'_, PyDict>) -> PyResult<Cors> {
    Ok(Cors {
        origins: get(cors, "allowed_origins")?,
        headers: get(cors, "allowed_headers")?,
        exposed: get(cors, "exposed_headers")?,
        max_age: get(cors, "max_age")?,
    })
}

fn read_tls(tls: &Bound<'_, PyDict>) -> PyResult<TlsSettings> {
    let pem = |name: &str| -> PyResult<Option<Pem>> {
        let file: Option<PathBuf> = get(tls, &format!("{name}_file"))?;
        let text: Option<String> = get(tls, &format!("{name}_pem"))?;
        Ok(file.map(Pem::File).or(text.map(Pem::Text)))
    };
    let missing = || PyRuntimeError::new_err("a TLS server needs a certificate and a key");
    Ok(TlsSettings {
        cert: pem("cert")?.ok_or_else(missing)?,
        key: pem("key")?.ok_or_else(missing)?,
        client_ca: pem("client_ca")?,
        versions: get(tls, "versions")?,
        cipher_suites: get(tls, "cipher_suites")?,
        reload_interval: maybe(tls, "reload_interval")?,
    })
}
