//! A connection's bytes, with an eye on them: activity for time-outs, HTTP/2 PINGs for the
//! keep-alive policy (h2 answers them without telling).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::edges::admission::{Reservation, admission};
use crate::edges::load::Gate;

/// A byte stream: TCP, Unix socket, or TLS over one of them.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// When a connection did what, in milliseconds since its start, one-based; 0 is never.
pub struct Activity {
    start: Instant,
    /// The last read that brought bytes.
    pub read: AtomicU64,
    /// The first such read since this was set to 0.
    pub fresh: AtomicU64,
    /// Since when a write waits for the other side.
    pub blocked: AtomicU64,
    /// Requests being served.
    pub active: AtomicUsize,
    /// When the last request was done.
    pub done: AtomicU64,
    /// Whether the last read was out of turn.
    out_of_turn: AtomicBool,
}

impl Activity {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            read: AtomicU64::new(0),
            fresh: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            done: AtomicU64::new(1),
            out_of_turn: AtomicBool::new(false),
        })
    }

    pub fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }

    pub fn active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    /// Whether a request is on its way: the first one always is.
    pub fn expected(&self) -> bool {
        let begun = self.fresh.load(Relaxed) > 0 || self.read.load(Relaxed) == 0;
        begun && !self.active()
    }

    /// Count a request, and the memory it takes beside its bytes, until the guard is dropped.
    pub fn request(self: &Arc<Self>) -> ActiveRequest {
        self.active.fetch_add(1, Relaxed);
        ActiveRequest {
            activity: self.clone(),
            out_of_turn: self.out_of_turn.load(Relaxed),
            _memory: admission().count(REQUEST),
        }
    }
}

/// What a request takes beside its bytes, at most: stream, headers, tasks on both sides.
const REQUEST: usize = 20 * 1024;

pub struct ActiveRequest {
    activity: Arc<Activity>,
    /// Whether it was read out of turn.
    pub out_of_turn: bool,
    _memory: Reservation,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let activity = &self.activity;
        activity.fresh.store(0, Relaxed);
        activity.done.store(activity.now(), Relaxed);
        activity.active.fetch_sub(1, Relaxed);
    }
}

/// What the keep-alive policy allows a client.
#[derive(Clone, Copy, Debug)]
pub struct Enforcement {
    /// The least time between two PINGs.
    pub min_time: Duration,
    /// Whether PINGs are welcome while no stream is open.
    pub permit_without_stream: bool,
}

/// PINGs that come too soon before the connection is closed.
const MAX_STRIKES: u32 = 2;
/// The least time between PINGs where none is expected.
const UNEXPECTED: Duration = Duration::from_secs(2 * 3600);

/// Follows HTTP/2 frames through a stream of bytes.
pub(super) struct Frames {
    header: [u8; 9],
    have: usize,
    /// Bytes of the current payload (or the preface) still to come.
    skip: usize,
}

impl Frames {
    pub fn new(preface: usize) -> Self {
        Self { header: [0; 9], have: 0, skip: preface }
    }

    pub fn at_boundary(&self) -> bool {
        self.skip == 0 && self.have == 0
    }

    /// Call `seen(type, flags)` for each frame header in `data`.
    pub fn follow(&mut self, mut data: &[u8], mut seen: impl FnMut(u8, u8)) {
        while !data.is_empty() {
            let step = self.skip.min(data.len());
            self.skip -= step;
            data = &data[step..];
            let step = (9 - self.have).min(data.len());
            self.header[self.have..self.have + step].copy_from_slice(&data[..step]);
            self.have += step;
            data = &data[step..];
            if self.have == 9 {
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.have = 0;
                seen(kind, flags);
            }
        }
    }
}

/// Counts the strikes of one connection.
struct Pings {
    policy: Enforcement,
    read: Frames,
    written: Frames,
    last: Option<Instant>,
    strikes: u32,
}

impl Pings {
    fn ping(&mut self, active: bool, now: Instant) {
        let least = if active || self.policy.permit_without_stream {
            self.policy.min_time
        } else {
            UNEXPECTED
        };
        if self.last.is_some_and(|last| now < last + least) {
            self.strikes += 1;
        }
        self.last = Some(now);
    }
}

/// GOAWAY, last stream 2^31-1, ENHANCE_YOUR_CALM, "too_many_pings".
const TOO_MANY_PINGS: &[u8] =
    b"\x00\x00\x16\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x0btoo_many_pings";

/// The stream that is handed to the HTTP implementation.
pub struct Watched {
    inner: Box<dyn Stream>,
    /// Bytes read while finding out the protocol.
    prefix: BytesMut,
    activity: Arc<Activity>,
    gate: Gate,
    pings: Option<Pings>,
}

impl Watched {
    pub fn new(inner: Box<dyn Stream>, activity: Arc<Activity>, gate: Gate) -> Self {
        Self { inner, prefix: BytesMut::new(), activity, gate, pings: None }
    }

    /// Hold the client to a keep-alive policy from here on; the stream is at its HTTP/2 preface.
    pub fn enforce(&mut self, policy: Enforcement) {
        self.pings = Some(Pings {
            policy,
            read: Frames::new(24),
            written: Frames::new(0),
            last: None,
            strikes: 0,
        });
    }

    /// Whether an HTTP/2 preface comes first. Reads no further than needed to tell.
    pub async fn speaks_h2(&mut self) -> io::Result<bool> {
        use tokio::io::AsyncReadExt;
        const PREFACE: &[u8] = b"PRI";
        while self.prefix.len() < PREFACE.len() && PREFACE.starts_with(&self.prefix) {
            if self.inner.read_buf(&mut self.prefix).await? == 0 {
                break;
            }
            self.activity.fresh.store(self.activity.now(), Relaxed);
        }
        Ok(self.prefix.starts_with(PREFACE))
    }

    fn was_read(&mut self, context: &mut Context<'_>, data: &[u8]) -> io::Result<()> {
        if !data.is_empty() {
            let now = self.activity.now();
            self.activity.read.store(now, Relaxed);
            if self.activity.fresh.load(Relaxed) == 0 {
                self.activity.fresh.store(now, Relaxed);
            }
        }
        let Some(pings) = &mut self.pings else { return Ok(()) };
        let active = self.activity.active();
        let mut count = 0;
        pings.read.follow(data, |kind, flags| count += u32::from(kind == 6 && flags & 1 == 0));
        for _ in 0..count {
            pings.ping(active, Instant::now());
        }
        if pings.strikes > MAX_STRIKES {
            if pings.written.at_boundary() {
                // Best effort: the connection ends either way.
                let _ = Pin::new(&mut self.inner).poll_write(context, TOO_MANY_PINGS);
                let _ = Pin::new(&mut self.inner).poll_flush(context);
            }
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "too many pings"));
        }
        Ok(())
    }

    fn was_written(&mut self, data: &[u8]) {
        if let Some(pings) = &mut self.pings {
            let mut answered = false;
            // Sending headers or data forgives.
            pings.written.follow(data, |kind, _| answered |= kind <= 1);
            if answered {
                pings.strikes = 0;
                pings.last = None;
            }
        }
    }

    fn blocked<T>(&self, poll: Poll<T>) -> Poll<T> {
        let since = &self.activity.blocked;
        match (&poll, since.load(Relaxed)) {
            (Poll::Pending, 0) => since.store(self.activity.now(), Relaxed),
            (Poll::Ready(_), 1..) => since.store(0, Relaxed),
            _ => {}
        }
        poll
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.prefix.is_empty() {
            ready!(self.gate.poll(context));
            let poll = Pin::new(&mut self.inner).poll_read(context, buffer);
            if poll.is_pending() {
                self.gate.emptied();
            }
            ready!(poll)?;
            self.gate.was_read(buffer.filled().len() - before);
            self.activity.out_of_turn.store(self.gate.is_out_of_turn(), Relaxed);
        } else {
            let step = self.prefix.len().min(buffer.remaining());
            buffer.put_slice(&self.prefix[..step]);
            self.prefix.advance(step);
        }
        Poll::Ready(self.was_read(context, &buffer.filled()[before..]))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(context, data);
        let written = ready!(self.blocked(poll))?;
        self.was_written(&data[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        let written = ready!(self.blocked(poll))?;
        let mut left = written;
        for slice in slices {
            let step = left.min(slice.len());
            self.was_written(&slice[..step]);
            left -= step;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(context);
        self.blocked(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_followed_across_any_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"); // SETTINGS
        bytes.extend(b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"); // PING
        bytes.extend(b"\x00\x00\x05\x00\x01\x00\x00\x00\x01\x00\x00\x06\x06\x00"); // DATA
        bytes.extend(b"\x00\x00\x08\x06\x01\x00\x00\x00\x0012345678"); // PING, ACK
        for cut in 1..bytes.len() {
            let mut frames = Frames::new(24);
            let mut seen = Vec::new();
            for chunk in bytes.chunks(cut) {
                frames.follow(chunk, |kind, flags| seen.push((kind, flags)));
            }
            assert_eq!(seen, [(4, 0), (6, 0), (0, 1), (6, 1)], "cut {cut}");
            assert!(frames.at_boundary());
        }
    }

    #[test]
    fn the_first_ping_is_free_and_then_each_early_one_is_a_strike() {
        let policy = Enforcement { min_time: Duration::from_secs(10), permit_without_stream: true };
        let mut pings =
            Pings { policy, read: Frames::new(0), written: Frames::new(0), last: None, strikes: 0 };
        let start = Instant::now();
        for (second, strikes) in [(0, 0), (5, 1), (15, 1), (24, 2), (34, 2)] {
            pings.ping(true, start + Duration::from_secs(second));
            assert_eq!(pings.strikes, strikes, "at {second} s");
        }
        pings.policy.permit_without_stream = false;
        pings.ping(false, start + Duration::from_secs(3600));
        assert_eq!(pings.strikes, 3);
    }
}
