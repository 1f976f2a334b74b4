//! An HTTP/2 connection: windows that grow with what is sent, keep-alive, age, and its streams.

use std::future::Future;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Ping, PingPong, RecvStream};
use http::Request;
use tokio::time::{Instant, sleep_until, timeout};

use super::io::{ActiveRequest, Activity, Watched};
use super::{BRIEFLY, Door, Phase, Phases};
use crate::edges::admission::{Reservation, admission};
use crate::wire::Context;

const FIRST_WINDOW: u32 = 64 * 1024 - 1;
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
const FRAME: u32 = 1024 * 1024;
const HEADERS: u32 = 64 * 1024;
/// Streams that were answered before their bodies had come, and are remembered for a second: what
/// still comes on them is ignored, and on others an offence for which a connection is ended.
const ANSWERED_EARLY: usize = 4096;
/// How long a connection may take for its handshake, and for going away when nothing is open.
const PROMPT: Duration = Duration::from_secs(20);

/// What the streams of a connection share.
pub struct Connection {
    /// The context of requests that say nothing themselves.
    pub context: Arc<Context>,
    /// Length of the longest message so far; windows grow to it.
    longest: AtomicUsize,
    window: Mutex<Window>,
}

/// The receive window counts while streams are open: only then can it fill.
struct Window {
    size: usize,
    streams: usize,
    reserved: Option<Reservation>,
}

impl Connection {
    pub fn saw_message(&self, length: usize) {
        if length > self.longest.load(Relaxed) {
            self.longest.store(length, Relaxed);
        }
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn open(&self) {
        let mut window = self.window();
        window.streams += 1;
        if window.streams == 1 {
            window.reserved = Some(admission().count(window.size));
        }
    }

    fn close(&self) {
        let mut window = self.window();
        window.streams -= 1;
        if window.streams == 0 {
            window.reserved = None;
        }
    }

    fn resize(&self, size: usize) {
        let mut window = self.window();
        window.size = size;
        if window.streams > 0 {
            window.reserved = Some(admission().count(size));
        }
    }
}

/// One open stream of a connection.
pub struct Stream {
    connection: Arc<Connection>,
    pub active: ActiveRequest,
}

impl Deref for Stream {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// Serve a connection until it ends; `serve` answers one stream, and keeps it until it has.
pub async fn run<F>(
    door: Arc<Door>,
    io: Watched,
    activity: Arc<Activity>,
    context: Arc<Context>,
    mut phases: Phases,
    serve: impl Fn(Arc<Door>, Stream, Request<RecvStream>, SendResponse<Bytes>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let handshake = h2::server::Builder::new()
        .initial_window_size(FIRST_WINDOW)
        .initial_connection_window_size(FIRST_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .max_concurrent_streams(door.settings.max_streams)
        .max_concurrent_reset_streams(ANSWERED_EARLY)
        .reset_stream_duration(Duration::from_secs(1))
        .handshake::<_, Bytes>(io);
    let Ok(Ok(mut h2)) = timeout(door.settings.header_timeout.min(PROMPT), handshake).await else {
        return;
    };
    let connection = Arc::new(Connection {
        context,
        longest: AtomicUsize::new(0),
        window: Mutex::new(Window { size: FIRST_WINDOW as usize, streams: 0, reserved: None }),
    });
    let mut windows = (FIRST_WINDOW, FIRST_WINDOW);
    let mut care = Care::new(&door, &activity, h2.ping_pong());
    if phases.stopping() {
        care.linger = BRIEFLY;
        care.go_away(&mut h2);
    }
    let mut look = pin!(sleep_until(care.next));
    loop {
        if look.deadline() != care.next {
            look.as_mut().reset(care.next);
        }
        tokio::select! {
            biased;
            accepted = h2.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    connection.open();
                    grow(&mut h2, &connection, &mut windows);
                    let (connection, active) = (connection.clone(), activity.request());
                    let stream = Stream { connection, active };
                    tokio::spawn(serve(door.clone(), stream, request, respond));
                }
                Some(Err(_)) | None => return,
            },
            phase = phases.next() => match phase {
                Phase::Run => {}
                Phase::Drain => {
                    care.linger = BRIEFLY;
                    care.go_away(&mut h2);
                    care.next = care.next_look(Instant::now());
                }
                Phase::Kill => return,
            },
            pong = care.pong(), if care.waiting.is_some() => {
                if pong.is_err() {
                    return;
                }
                care.waiting = None;
            }
            () = &mut look => if !care.tick(&mut h2) {
                return;
            },
        }
    }
}

/// Do what a stream asks for; nothing when its client resets it first, or the connection ends.
pub async fn unless_reset<T>(
    respond: &mut SendResponse<Bytes>,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        _ended = std::future::poll_fn(|context| respond.poll_reset(context)) => None,
    }
}

/// Let the windows follow the longest message while there is room for it.
fn grow(
    h2: &mut h2::server::Connection<Watched, Bytes>,
    connection: &Connection,
    (stream, whole): &mut (u32, u32),
) {
    let longest = u32::try_from(connection.longest.load(Relaxed)).unwrap_or(u32::MAX);
    // Twice the message: a window is topped up when half of it is used, and need not be.
    let wanted = longest.saturating_mul(2).min(STREAM_WINDOW).next_power_of_two();
    if wanted > *stream && h2.set_initial_window_size(wanted).is_ok() {
        *stream = wanted;
    }
    let wanted = stream.saturating_mul(8).min(CONNECTION_WINDOW);
    if *stream > FIRST_WINDOW && wanted > *whole && admission().room() / 8 > wanted as usize {
        h2.set_target_window_size(wanted);
        connection.resize(wanted as usize);
        *whole = wanted;
    }
}

/// Looks after one connection: PINGs, idleness, age.
struct Care<'a> {
    door: &'a Door,
    activity: &'a Activity,
    ping: Option<PingPong>,
    /// Until when the answer to our PING must be here.
    waiting: Option<Instant>,
    /// When to look again.
    next: Instant,
    started: Instant,
    /// When this connection is old, jittered by a tenth either way.
    old: Option<Instant>,
    /// Until when it must be gone, once told to go.
    gone: Option<Option<Instant>>,
    /// How long it may linger then without a request.
    linger: Duration,
}

impl<'a> Care<'a> {
    fn new(door: &'a Door, activity: &'a Activity, ping: Option<PingPong>) -> Self {
        let started = Instant::now();
        let keep = &door.settings.keepalive;
        let old = keep.max_age.map(|age| started + jitter(age));
        let mut care = Self {
            door,
            activity,
            ping,
            waiting: None,
            next: started,
            started,
            old,
            gone: None,
            linger: PROMPT,
        };
        care.next = care.next_look(started);
        care
    }

    async fn pong(&mut self) -> Result<(), h2::Error> {
        match &mut self.ping {
            Some(ping) => std::future::poll_fn(|context| ping.poll_pong(context)).await.map(drop),
            None => std::future::pending().await,
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.started + Duration::from_millis(millis)
    }

    /// When the connection has been idle for too long, as things stand.
    fn idle_at(&self) -> Option<Instant> {
        let idle = self.door.settings.keepalive.max_idle?;
        let since = if self.activity.active() {
            Instant::now()
        } else {
            self.at(self.activity.done.load(Relaxed))
        };
        Some(since + idle)
    }

    fn go_away(&mut self, h2: &mut h2::server::Connection<Watched, Bytes>) {
        if self.gone.is_none() {
            h2.graceful_shutdown();
            let grace = self.door.settings.keepalive.max_age_grace;
            self.gone = Some(grace.map(|grace| Instant::now() + grace));
            self.next = self.next_look(Instant::now());
        }
    }

    /// Do what is due; false when the connection must end now.
    fn tick(&mut self, h2: &mut h2::server::Connection<Watched, Bytes>) -> bool {
        let now = Instant::now();
        let keep = &self.door.settings.keepalive;
        if let Some(limit) = self.gone {
            let quiet = self.at(self.activity.done.load(Relaxed)) + self.linger;
            if limit.is_some_and(|limit| now >= limit) || !self.activity.active() && now >= quiet {
                return false;
            }
        } else if self.old.is_some_and(|old| now >= old)
            || self.idle_at().is_some_and(|idle| now >= idle)
        {
            self.go_away(h2);
        }
        let blocked = self.activity.blocked.load(Relaxed);
        if blocked > 0 && now >= self.at(blocked) + self.door.settings.write_timeout {
            return false;
        }
        if self.waiting.is_some_and(|limit| now >= limit) {
            return false;
        }
        let silent = self.at(self.activity.read.load(Relaxed)) + keep.time;
        if self.waiting.is_none()
            && now >= silent
            && let Some(ping) = &mut self.ping
            && ping.send_ping(Ping::opaque()).is_ok()
        {
            self.waiting = Some(now + keep.timeout);
        }
        self.next = self.next_look(now);
        true
    }

    fn next_look(&self, now: Instant) -> Instant {
        let keep = &self.door.settings.keepalive;
        let ping = self.at(self.activity.read.load(Relaxed)) + keep.time;
        let quiet = Some(now + self.linger.min(self.door.settings.write_timeout));
        let candidates = match self.gone {
            None => [self.old, self.idle_at(), self.waiting, Some(ping)],
            Some(limit) => [limit, quiet, self.waiting, None],
        };
        let soonest = candidates.into_iter().flatten().chain(quiet).min();
        // Never spin: what is due already was done, or waits for the other side.
        soonest.unwrap_or(now + PROMPT).max(now + Duration::from_millis(20))
    }
}

/// A tenth more or less, so that connections made together do not end together.
fn jitter(age: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX);
    age.mul_f64(0.9 + 0.2 * random)
}
