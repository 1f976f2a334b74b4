//! OTLP over HTTP, and POST for whoever else speaks HTTP: a pool of connections, HTTP/2 where the
//! handshake agrees on it.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::super::compress::Compressor;
use super::super::status::Code;
use super::dial::{Dialer, Stream};
use super::outcome::Outcome;
use super::resolve::Address;
use super::{Headers, aside, hold};
use crate::wire::{Batch, Signal};

/// What is read of the answer to an export.
const RESPONSE: usize = 64 * 1024;

/// How a client speaks.
pub struct Settings {
    /// For traces, metrics, logs and profiles; a signal without one cannot be sent.
    pub uris: [Option<Uri>; 4],
    pub json: bool,
    pub compressor: Option<Compressor>,
    pub user_agent: HeaderValue,
    pub headers: Headers,
    /// Connections at a time, not counting HTTP/2's; no bound when not given.
    pub max_connections: Option<usize>,
    pub max_idle_per_host: usize,
    pub idle_timeout: Option<Duration>,
    pub keep_alives: bool,
    /// Silence on HTTP/2 before a ping, and after it.
    pub ping: Option<(Duration, Duration)>,
}

/// What `post` brings back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Sends to HTTP servers.
pub struct Client {
    settings: Settings,
    dialer: Arc<Dialer>,
    pool: legacy::Client<Connector, Full<Bytes>>,
    headers: HeaderMap,
    room: Option<Semaphore>,
}

impl Client {
    pub fn new(settings: Settings, dialer: Dialer) -> Self {
        let dialer = Arc::new(dialer);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(if settings.keep_alives {
                settings.max_idle_per_host
            } else {
                0
            })
            .http1_writev(true);
        if let Some((interval, timeout)) = settings.ping {
            builder.http2_keep_alive_interval(interval).http2_keep_alive_timeout(timeout);
        }
        let pool = builder.build(Connector { dialer: dialer.clone() });
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, settings.user_agent.clone());
        if !settings.keep_alives {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in &settings.headers {
            headers.append(name, value.clone());
        }
        let room = settings.max_connections.map(Semaphore::new);
        Self { settings, dialer, pool, headers, room }
    }

    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Send a batch once. Dropping the future cancels the request.
    pub async fn send(self: Arc<Self>, batch: Batch, timeout: Duration, extra: Headers) -> Outcome {
        let deadline = Instant::now() + timeout;
        let Some(uri) = self.uri(batch.signal).cloned() else {
            return Outcome::refused(Code::Unimplemented, "no endpoint for this signal");
        };
        let kind = HeaderValue::from_static(match self.settings.json {
            true => "application/json",
            false => "application/x-protobuf",
        });
        let mut headers = vec![(header::CONTENT_TYPE, kind)];
        headers.extend(extra);
        let exchange = async {
            let body = match self.settings.json {
                true => hold(aside(move || batch.to_json()).await.map_err(bug)?),
                false => batch.data,
            };
            self.exchange(uri, headers, body, RESPONSE).await
        };
        match timeout_at(deadline, exchange).await {
            Ok(Ok(answer)) => conclude(answer),
            Ok(Err(failure)) => failure,
            Err(_) => Outcome::late(format!("no answer within {timeout:?}")),
        }
    }

    /// Send a body; the answer is read up to `limit` bytes.
    pub async fn post(
        self: Arc<Self>,
        uri: Uri,
        extra: Headers,
        body: Bytes,
        timeout: Duration,
        limit: usize,
    ) -> Result<Answer, Outcome> {
        let deadline = Instant::now() + timeout;
        match timeout_at(deadline, self.exchange(uri, extra, body, limit)).await {
            Ok(result) => result,
            Err(_) => Err(Outcome::late(format!("no answer within {timeout:?}"))),
        }
    }

    async fn exchange(
        &self,
        uri: Uri,
        extra: Headers,
        body: Bytes,
        limit: usize,
    ) -> Result<Answer, Outcome> {
        let mut headers = self.headers.clone();
        for (name, value) in extra {
            headers.insert(name, value);
        }
        let body = match self.settings.compressor {
            Some(compressor) => {
                let name = HeaderValue::from_static(compressor.coding.name());
                headers.insert(header::CONTENT_ENCODING, name);
                let pack = move || compressor.compress(&body);
                hold(aside(pack).await.map_err(bug)?)
            }
            None => body,
        };
        if let Some(auth) = self.proxy_auth(&uri) {
            headers.insert(header::PROXY_AUTHORIZATION, auth);
        }
        let _room = match &self.room {
            Some(room) => room.acquire().await.ok(),
            None => None,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = self
            .pool
            .request(request)
            .await
            .map_err(|error| Outcome::unavailable(explain(&error)))?;
        read(response, limit).await
    }

    /// Plain HTTP goes through a proxy as it is, so the proxy's credentials go with each request.
    fn proxy_auth(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() != Some("http") {
            return None;
        }
        let (host, port) = place(uri)?;
        self.dialer.proxies.find(false, &host, port)?.auth
    }

    fn uri(&self, signal: Signal) -> Option<&Uri> {
        let [traces, metrics, logs, profiles] = &self.settings.uris;
        match signal {
            Signal::Traces => traces,
            Signal::Metrics => metrics,
            Signal::Logs => logs,
            Signal::Profiles => profiles,
        }
        .as_ref()
    }
}

/// Our own bytes could not be written in another form.
fn bug(error: String) -> Outcome {
    Outcome::refused(Code::Internal, error)
}

async fn read(response: Response<hyper::body::Incoming>, limit: usize) -> Result<Answer, Outcome> {
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        // The status has been said; what lies beyond the limit nobody will miss.
        Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
        Err(error) => return Err(Outcome::unavailable(format!("the answer broke off: {error}"))),
    };
    Ok(Answer { status: head.status, headers: head.headers, body })
}

pub(super) fn conclude(answer: Answer) -> Outcome {
    let status = answer.status;
    let kind = answer.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let mut outcome = if !status.is_success() {
        Outcome::from_http(status, &answer.headers, &answer.body)
    } else if kind.starts_with(b"application/x-protobuf") {
        Outcome::delivered(status.as_u16(), &answer.body)
    } else {
        Outcome::delivered(status.as_u16(), &[])
    };
    let place = answer.headers.get(header::LOCATION).and_then(|place| place.to_str().ok());
    if let Some(place) = place.filter(|_| status.is_redirection()) {
        outcome.message = format!("redirects to {place}; put that in the endpoint");
    }
    if kind.starts_with(b"application/json") {
        outcome.json = answer.body;
    }
    outcome
}

/// What went wrong, from the innermost cause.
fn explain(error: &legacy::Error) -> String {
    let mut cause = error.source();
    let mut text = String::new();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return super::connection::explain(error);
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return super::resolve::plain(error);
        }
        text = error.to_string();
        cause = error.source();
    }
    match text.as_str() {
        "" | "connection closed before message completed" => {
            "the other side closed the connection".into()
        }
        _ => text,
    }
}

fn place(uri: &Uri) -> Option<(String, u16)> {
    let host = uri.host()?.trim_matches(['[', ']']).to_string();
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some((host, uri.port_u16().unwrap_or(usual)))
}

/// Opens the pool's connections.
#[derive(Clone)]
struct Connector {
    dialer: Arc<Dialer>,
}

/// A connection of the pool.
struct Pooled {
    io: TokioIo<Stream>,
    /// A proxy that wants to see whole URLs.
    proxied: bool,
}

impl Connector {
    async fn open(self, uri: Uri) -> Result<Pooled, String> {
        let (host, port) = place(&uri).ok_or("the URL names no host")?;
        if uri.scheme_str() != Some("https") {
            return match self.dialer.proxies.find(false, &host, port) {
                Some(proxy) => Ok(Pooled::new(self.dialer.to_proxy(&proxy).await?, true)),
                None => Ok(Pooled::new(self.dialer.bare(&host, port).await?, false)),
            };
        }
        if self.dialer.tls.is_none() {
            return Err("this client was made without TLS".into());
        }
        let address = Address::Named { host: host.clone(), port };
        Ok(Pooled::new(self.dialer.connect(&address, &host).await?, false))
    }
}

impl Pooled {
    fn new(stream: Stream, proxied: bool) -> Self {
        Self { io: TokioIo::new(stream), proxied }
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Pooled;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Pooled, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.open(uri).await.map_err(std::io::Error::other) })
    }
}

impl Connection for Pooled {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.proxied);
        if self.io.inner().is_h2() { connected.negotiated_h2() } else { connected }
    }
}

impl hyper::rt::Read for Pooled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Pooled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, std::io::Error>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize, std::io::Error>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), std::io::Error>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
