//! One OTLP server: a listening socket that speaks gRPC, or HTTP/1.1 and HTTP/2 side by side.

mod body;
mod cors;
mod door;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod grpc;
mod h1;
mod h2;
mod http;
mod io;
mod tls;

pub mod py;

use std::io as stdio;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use socket2::{SockRef, Socket};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use self::body::Limits;
use self::io::{Activity, Enforcement, Stream, Watched};
use super::compress::Coding;
use super::load::Gate;
use super::runtime;
use super::status;
use crate::platform::local;
use crate::platform::socket::listen_everywhere;
use crate::wire::{Context, Signal};

pub use self::cors::Cors;
pub use self::door::{Call, Claims, Door, Handlers, Outcome, Question};
pub use self::tls::{Tls, TlsSettings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Http,
}

/// Where to listen.
#[derive(Debug)]
pub enum Endpoint {
    /// Host (any when empty) and port (any when 0).
    Tcp(String, u16),
    Unix(PathBuf),
    /// A copy of a socket that listens already.
    Open(Socket),
}

/// Keep-alive of HTTP/2 connections. `None` is for ever.
#[derive(Clone, Debug)]
pub struct Keepalive {
    pub max_idle: Option<Duration>,
    pub max_age: Option<Duration>,
    pub max_age_grace: Option<Duration>,
    /// Silence after which the client is asked whether it is there.
    pub time: Duration,
    /// How long it has to answer.
    pub timeout: Duration,
    pub enforcement: Enforcement,
}

/// The content codings that an HTTP server takes; all when not said.
#[derive(Clone, Debug, Default)]
pub struct Codings(pub Option<Vec<String>>);

impl Codings {
    fn allow(&self, coding: Coding, name: &str) -> bool {
        let Some(names) = &self.0 else { return true };
        names.iter().any(|known| {
            known == name || coding == Coding::Identity && matches!(&**known, "" | "identity")
        })
    }
}

/// What a server has to know.
#[derive(Clone)]
pub struct Settings {
    pub protocol: Protocol,
    /// Signals that some pipeline takes.
    pub signals: Vec<Signal>,
    /// URL path of each signal over HTTP.
    pub paths: Vec<(String, Signal)>,
    /// Bound of a message, before and after decompression.
    pub max_bytes: usize,
    pub max_streams: u32,
    pub include_metadata: bool,
    pub codings: Codings,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub keep_alives: bool,
    pub keepalive: Keepalive,
    pub cors: Option<Cors>,
    pub response_headers: Vec<(HeaderName, HeaderValue)>,
    pub tls: Option<TlsSettings>,
}

impl Settings {
    fn takes(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }

    fn body_limits(&self) -> Limits {
        Limits { bytes: self.max_bytes, patience: self.body_timeout }
    }
}

/// How long a connection on which nothing has been asked lingers when the server stops.
const BRIEFLY: Duration = Duration::from_secs(1);

/// How far a server has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Run,
    /// Nothing new; what is in flight may finish.
    Drain,
    Kill,
}

/// A connection's view of the phase, and its sign of life.
#[derive(Clone)]
pub struct Phases {
    receiver: watch::Receiver<Phase>,
    _alive: mpsc::Sender<()>,
}

impl Phases {
    fn stopping(&self) -> bool {
        *self.receiver.borrow() != Phase::Run
    }

    /// The next phase; a server that is gone kills.
    async fn next(&mut self) -> Phase {
        match self.receiver.changed().await {
            Ok(()) => *self.receiver.borrow_and_update(),
            Err(_) => Phase::Kill,
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(local::Listener),
}

impl Listener {
    fn copy(&self) -> stdio::Result<Socket> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener).try_clone(),
            Self::Unix(listener) => SockRef::from(listener).try_clone(),
        }
    }
}

/// A server that listens from its start to its stop.
pub struct Server {
    door: Arc<Door>,
    /// `host:port` that is really bound, or the socket's path.
    pub address: String,
    phase: watch::Sender<Phase>,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
    /// A copy of the socket that is listened on, until the stop.
    socket: Mutex<Option<Socket>>,
}

impl Server {
    /// Bind and begin to serve.
    pub fn start(
        endpoint: Endpoint,
        settings: Settings,
        handlers: Handlers,
    ) -> stdio::Result<Self> {
        let tls = settings.tls.clone().map(|tls| Tls::load(tls, settings.protocol)).transpose()?;
        let _runtime = runtime::handle().enter();
        let (listener, address) = bind(endpoint)?;
        let socket = listener.copy()?;
        let door = Arc::new(Door { settings, handlers, counts: Default::default() });
        let (phase, receiver) = watch::channel(Phase::Run);
        let (alive, ended) = mpsc::channel(1);
        let phases = Phases { receiver, _alive: alive };
        runtime::handle().spawn(accept(door.clone(), listener, tls.map(Arc::new), phases));
        let (ended, socket) = (Mutex::new(Some(ended)), Mutex::new(Some(socket)));
        Ok(Self { door, address, phase, ended, socket })
    }

    /// A copy of the socket that is listened on, for a server that takes over; an error once
    /// stopped.
    pub fn socket(&self) -> stdio::Result<Socket> {
        let socket = self.socket.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        socket.as_ref().ok_or(stdio::ErrorKind::NotConnected)?.try_clone()
    }

    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Take nothing new, let what is in flight finish within `grace`, then close; call `done`
    /// at the end. The path of a Unix socket is its owner's to remove.
    pub fn stop(&self, grace: Duration, done: impl FnOnce() + Send + 'static) {
        let ended = self.ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let Some(mut ended) = ended else { return done() };
        let phase = self.phase.clone();
        phase.send_replace(Phase::Drain);
        *self.socket.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        runtime::handle().spawn(async move {
            if tokio::time::timeout(grace, ended.recv()).await.is_err() {
                phase.send_replace(Phase::Kill);
                ended.recv().await;
            }
            done();
        });
    }
}

fn bind(endpoint: Endpoint) -> stdio::Result<(Listener, String)> {
    match endpoint {
        Endpoint::Tcp(host, port) => listen_tcp(bind_tcp(&host, port)?),
        Endpoint::Open(socket) => match local::adopt(socket)? {
            Ok((listener, path)) => Ok((Listener::Unix(listener), path)),
            Err(socket) => listen_tcp(socket.into()),
        },
        Endpoint::Unix(path) => {
            Ok((Listener::Unix(local::bind(&path)?), path.display().to_string()))
        }
    }
}

fn listen_tcp(listener: std::net::TcpListener) -> stdio::Result<(Listener, String)> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    Ok((Listener::Tcp(TcpListener::from_std(listener)?), address))
}

fn bind_tcp(host: &str, port: u16) -> stdio::Result<std::net::TcpListener> {
    if host.is_empty() {
        // Both families on one socket; a machine without IPv6 has only the other.
        return listen_everywhere(port).or_else(|error| match error.kind() {
            stdio::ErrorKind::AddrInUse | stdio::ErrorKind::PermissionDenied => Err(error),
            _ => std::net::TcpListener::bind(("0.0.0.0", port)),
        });
    }
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    // Of a name's addresses the first of IPv4, as Go has it.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let first = addresses.first().ok_or_else(|| stdio::Error::other("the name has no address"))?;
    std::net::TcpListener::bind(first)
}

async fn accept(door: Arc<Door>, listener: Listener, tls: Option<Arc<Tls>>, mut phases: Phases) {
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener) => accepted,
            phase = phases.next() => match phase {
                Phase::Run => continue,
                Phase::Drain | Phase::Kill => return,
            },
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(connection(door.clone(), stream, peer, tls.clone(), phases.clone()));
            }
            // Out of descriptors, mostly: wait for some to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn next(listener: &Listener) -> stdio::Result<(Box<dyn Stream>, Option<String>)> {
    Ok(match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            (Box::new(stream), Some(peer.to_string()))
        }
        Listener::Unix(listener) => (Box::new(listener.accept().await?.0), None),
    })
}

async fn connection(
    door: Arc<Door>,
    stream: Box<dyn Stream>,
    peer: Option<String>,
    tls: Option<Arc<Tls>>,
    phases: Phases,
) {
    let activity = Activity::new();
    let patience = door.settings.header_timeout;
    let opened = async {
        let (stream, alpn) = match tls {
            None => (stream, None),
            Some(tls) => tls.accept(stream, &door.handlers.warn).await?,
        };
        let gate = Gate::new(door.handlers.load.clone());
        let mut io = Watched::new(stream, activity.clone(), gate);
        let h2 = match (door.settings.protocol, alpn.as_deref()) {
            (Protocol::Grpc, _) | (_, Some(b"h2")) => true,
            (_, Some(_)) => false,
            (Protocol::Http, None) => io.speaks_h2().await?,
        };
        stdio::Result::Ok((io, h2))
    };
    // Who has connected already may still send one request, so that nobody is sent away unheard.
    let mut stop = phases.receiver.clone();
    let leaving = async {
        drop(stop.wait_for(|phase| *phase != Phase::Run).await);
        tokio::time::sleep(BRIEFLY).await;
    };
    let opened = tokio::select! {
        opened = tokio::time::timeout(patience, opened) => opened,
        () = leaving => return,
    };
    let Ok(Ok((mut io, is_h2))) = opened else { return };
    let context = Arc::new(Context { peer, ..Context::default() });
    if !is_h2 {
        return h1::run(door, io, activity, context, phases).await;
    }
    if door.settings.protocol == Protocol::Grpc {
        io.enforce(door.settings.keepalive.enforcement);
        h2::run(door, io, activity, context, phases, grpc::serve).await;
    } else {
        h2::run(door, io, activity, context, phases, http::serve_h2).await;
    }
}

fn plural(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
        Signal::Profiles => "profiles",
    }
}

/// An `Export*ServiceResponse`; empty when nothing was rejected and nothing is to be said.
fn partial_success(rejected: u64, message: &str) -> Vec<u8> {
    let mut partial = Vec::new();
    status::number(&mut partial, 1, rejected);
    status::bytes(&mut partial, 2, message.as_bytes());
    let mut response = Vec::new();
    status::bytes(&mut response, 1, &partial);
    response
}

/// The same in OTLP/JSON.
fn partial_success_json(signal: Signal, rejected: u64, message: &str) -> bytes::Bytes {
    if rejected == 0 && message.is_empty() {
        return bytes::Bytes::from_static(b"{}");
    }
    let what = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
        Signal::Profiles => "rejectedProfiles",
    };
    let mut out = format!("{{\"partialSuccess\":{{\"{what}\":\"{rejected}\",\"errorMessage\":");
    status::json_string(&mut out, message);
    out.push_str("}}");
    out.into()
}
