//! One HTTP/2 connection: its driver, its keep-alive, its end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::dial::Stream;

/// Responses are small; bigger ones wait for their window.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const HEADER_LIST: u32 = 64 * 1024;

/// When a silent connection is asked whether it lives.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// Silence before a ping.
    pub time: Duration,
    /// Silence after it that ends the connection.
    pub timeout: Duration,
    /// Ping though no call is in flight.
    pub idle: bool,
}

/// A handle on a connection; clones share it.
#[derive(Clone)]
pub struct Connection {
    pub send: SendRequest<Bytes>,
    state: Arc<State>,
}

struct State {
    /// Bytes came in; counts up.
    activity: AtomicU64,
    calls: AtomicUsize,
    served: AtomicBool,
    /// True once no new call can be opened here.
    over: watch::Sender<bool>,
    /// Why, once known.
    reason: Mutex<Option<String>>,
    /// The other side asked for fewer pings.
    calm: AtomicBool,
}

/// Counts a call in flight while it lives.
pub struct InFlight(Arc<State>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

impl Connection {
    /// Greet the other side, and drive the connection from then on.
    pub async fn open(stream: Stream, keep_alive: Option<KeepAlive>) -> Result<Self, String> {
        let (over, _) = watch::channel(false);
        let state = Arc::new(State {
            activity: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            over,
            reason: Mutex::new(None),
            calm: AtomicBool::new(false),
        });
        let stream = Watched { stream, state: state.clone() };
        let (send, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .enable_push(false)
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(|error| explain(&error))?;
        let pings = connection.ping_pong();
        let driver = drive(connection, send.clone(), state.clone());
        let watch = state.clone();
        tokio::spawn(async move {
            let silent = async {
                match (keep_alive, pings) {
                    (Some(keep_alive), Some(pings)) => tend(keep_alive, pings, &watch).await,
                    _ => std::future::pending().await,
                }
            };
            // The branch that ends drops the connection, and with it every call still on it.
            tokio::select! {
                () = driver => {}
                reason = silent => watch.end(reason),
            }
        });
        Ok(Self { send, state })
    }

    /// Whether new calls may be opened.
    pub fn is_open(&self) -> bool {
        !*self.state.over.borrow()
    }

    /// Wait until no new call can be opened.
    pub async fn over(&self) {
        let mut over = self.state.over.subscribe();
        // An error means that the sender is gone, which is an end too.
        let _ = over.wait_for(|over| *over).await;
    }

    /// Open no more calls here; those in flight go on.
    pub fn retire(&self) {
        self.state.over.send_replace(true);
    }

    /// Why it ended.
    pub fn reason(&self) -> Option<String> {
        self.state.reason.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Whether the other side said that pings come too often.
    pub fn wants_calm(&self) -> bool {
        self.state.calm.load(Relaxed)
    }

    /// Note that a call was answered.
    pub fn note_answer(&self) {
        self.state.served.store(true, Relaxed);
    }

    /// Whether any call was answered.
    pub fn has_served(&self) -> bool {
        self.state.served.load(Relaxed)
    }

    pub fn enter(&self) -> InFlight {
        self.state.calls.fetch_add(1, Relaxed);
        InFlight(self.state.clone())
    }
}

impl State {
    fn fail(&self, error: &h2::Error) {
        if error.is_go_away() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
            self.calm.store(true, Relaxed);
        }
        self.end(explain(error));
    }

    fn end(&self, reason: String) {
        self.reason.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(reason);
        self.over.send_replace(true);
    }
}

/// Move bytes until the connection ends; notice early that no call can be opened any more.
async fn drive(
    connection: h2::client::Connection<Watched, Bytes>,
    send: SendRequest<Bytes>,
    state: Arc<State>,
) {
    let mut over = state.over.subscribe();
    let mut retired = std::pin::pin!(async move {
        let _ = over.wait_for(|over| *over).await;
    });
    let mut connection = std::pin::pin!(connection);
    // Dropped when retired: without handles and calls the connection closes by itself.
    let mut send = Some(send);
    let result = std::future::poll_fn(|cx| {
        let result = connection.as_mut().poll(cx);
        if result.is_pending() {
            if let Some(handle) = &mut send
                && let Poll::Ready(Err(error)) = handle.poll_ready(cx)
            {
                state.fail(&error);
            }
            if send.is_some() && retired.as_mut().poll(cx).is_ready() {
                send = None;
                cx.waker().wake_by_ref();
            }
        }
        result
    })
    .await;
    match result {
        Ok(()) => state.end("the other side closed the connection".into()),
        Err(error) => state.fail(&error),
    }
}

/// Returns why the connection has to end.
async fn tend(keep_alive: KeepAlive, mut pings: PingPong, state: &State) -> String {
    loop {
        let seen = state.activity.load(Relaxed);
        tokio::time::sleep(keep_alive.time).await;
        let silent = state.activity.load(Relaxed) == seen;
        if !silent || (state.calls.load(Relaxed) == 0 && !keep_alive.idle) {
            continue;
        }
        let answer = tokio::time::timeout(keep_alive.timeout, pings.ping(Ping::opaque())).await;
        let alive = state.activity.load(Relaxed) != seen;
        match answer {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return explain(&error),
            Err(_) if alive => {}
            Err(_) => {
                return format!("no answer to a keep-alive ping within {:?}", keep_alive.timeout);
            }
        }
    }
}

/// What an HTTP/2 error means to a user.
pub fn explain(error: &h2::Error) -> String {
    if let Some(error) = error.get_io() {
        if error.kind() == io::ErrorKind::BrokenPipe || error.kind() == io::ErrorKind::UnexpectedEof
        {
            return "the other side closed the connection".into();
        }
        return super::tls::explain(error);
    }
    match error.reason() {
        Some(Reason::NO_ERROR) if error.is_go_away() => {
            "the other side is closing the connection".into()
        }
        Some(Reason::PROTOCOL_ERROR | Reason::FRAME_SIZE_ERROR) if !error.is_remote() => {
            "the other side does not speak HTTP/2 here; is this the gRPC port, and TLS the same at both ends?"
                .into()
        }
        _ => format!("HTTP/2: {error}"),
    }
}

/// Whether the other side never looked at the request, so that it may be sent again.
pub fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Counts what comes in.
struct Watched {
    stream: Stream,
    state: Arc<State>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.state.activity.fetch_add(1, Relaxed);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
