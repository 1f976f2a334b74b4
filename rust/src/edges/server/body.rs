//! Reading request bodies: bytes are reserved before they are read, slow senders are cut off.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;
use tokio::time::{Instant, timeout_at};

use crate::edges::admission::{Refusal, Reservation, admission};

/// What is reserved before the first byte has come; a sender that never sends holds no more.
const FIRST: usize = 16 * 1024;
/// Smaller bodies are copied, so that none pins more than itself: a read buffer has at least so many
/// bytes, whatever came into it. Larger ones are copied while memory fills up, because the buffer
/// may be half as large again.
const COPY_BELOW: usize = 64 * 1024;
/// A body may be as slow as this many bytes a second once its patience is used up.
const SLOWEST: u64 = 4096;

/// The body of a request, whichever way it came.
pub enum Incoming {
    H1(hyper::body::Incoming),
    H2(h2::RecvStream),
    /// Pieces that are all here, for the fuzzing.
    #[cfg(any(test, feature = "fuzzing"))]
    Pieces(std::collections::VecDeque<Bytes>),
}

#[derive(Debug)]
pub enum BodyError {
    Refused(Refusal),
    /// Larger than the limit; the size when it is known.
    TooLarge(Option<usize>),
    Slow,
    /// The connection or the stream ended early.
    Broken(String),
    /// Not a gRPC message.
    Framing(&'static str),
}

impl Incoming {
    /// The next piece; `None` at the end.
    async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        let broken = |error: String| BodyError::Broken(error);
        match self {
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Pieces(pieces) => pieces.pop_front().map(Ok),
            Self::H2(stream) => {
                let chunk = stream.data().await?.map_err(|error| broken(error.to_string()));
                if let Ok(chunk) = &chunk {
                    // Fails only for a stream that is gone, which the next read tells.
                    let _ = stream.flow_control().release_capacity(chunk.len());
                }
                Some(chunk)
            }
            Self::H1(body) => loop {
                match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
                    Ok(frame) => match frame.into_data() {
                        Ok(data) => return Some(Ok(data)),
                        Err(_trailers) => {}
                    },
                    Err(error) => return Some(Err(broken(error.to_string()))),
                }
            },
        }
    }
}

/// How long a sender may take, and how much it may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: usize,
    /// For the whole body, to which each byte received adds a little.
    pub patience: Duration,
}

/// One body being read.
pub struct Reader<'a> {
    source: &'a mut Incoming,
    limits: Limits,
    started: Instant,
    received: u64,
    reservation: Reservation,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a mut Incoming, limits: Limits) -> Self {
        let reservation = admission().count(0);
        Self { source, limits, started: Instant::now(), received: 0, reservation }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        let deadline =
            self.started + self.limits.patience + Duration::from_secs(self.received / SLOWEST);
        let chunk = match timeout_at(deadline, self.source.chunk()).await {
            Err(_elapsed) => return Err(BodyError::Slow),
            Ok(None) => return Ok(None),
            Ok(Some(chunk)) => chunk?,
        };
        self.received += chunk.len() as u64;
        Ok(Some(chunk))
    }

    /// Read a plain body of `expected` bytes, or of as many as come.
    pub async fn whole(
        mut self,
        expected: Option<usize>,
    ) -> Result<(Bytes, Reservation), BodyError> {
        if expected.is_some_and(|expected| expected > self.limits.bytes) {
            return Err(BodyError::TooLarge(expected));
        }
        let first = match self.chunk().await? {
            Some(chunk) => chunk,
            None => return Ok((Bytes::new(), self.reservation)),
        };
        self.rest(first, expected).await
    }

    /// Read one gRPC message. Returns whether it is compressed, too.
    pub async fn message(mut self) -> Result<(bool, Bytes, Reservation), BodyError> {
        let mut first = self.chunk().await?.ok_or(BodyError::Framing("no message"))?;
        while first.len() < 5 {
            let next = self.chunk().await?.ok_or(BodyError::Framing("no message"))?;
            let mut joined = BytesMut::with_capacity(first.len() + next.len());
            joined.extend_from_slice(&first);
            joined.extend_from_slice(&next);
            first = joined.freeze();
        }
        let prefix = first.split_to(5);
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if prefix[0] > 1 {
            return Err(BodyError::Framing("the compressed flag is neither 0 nor 1"));
        }
        if length > self.limits.bytes {
            return Err(BodyError::TooLarge(Some(length)));
        }
        let (message, reservation) = self.rest(first, Some(length)).await?;
        Ok((prefix[0] == 1, message, reservation))
    }

    /// Complete a body whose first piece is here. Copies at most once; not at all when the
    /// first piece is everything and large.
    async fn rest(
        mut self,
        first: Bytes,
        expected: Option<usize>,
    ) -> Result<(Bytes, Reservation), BodyError> {
        self.reserve(first.len(), expected)?;
        if first.len() >= COPY_BELOW
            && !admission().is_filling()
            && expected.is_none_or(|expected| expected == first.len())
        {
            match self.more().await? {
                None => return Ok((first, self.reservation)),
                Some(_) if expected.is_some() => return Err(surplus()),
                Some(next) => {
                    self.reserve(first.len() + next.len(), expected)?;
                    let mut body = BytesMut::with_capacity(self.reservation.bytes());
                    body.extend_from_slice(&first);
                    return self.append(body, next, expected).await;
                }
            }
        }
        let body = BytesMut::with_capacity(self.reservation.bytes());
        self.append(body, first, expected).await
    }

    async fn append(
        mut self,
        mut body: BytesMut,
        mut next: Bytes,
        expected: Option<usize>,
    ) -> Result<(Bytes, Reservation), BodyError> {
        let most = expected.unwrap_or(self.limits.bytes);
        loop {
            let length = body.len() + next.len();
            if length > most {
                return Err(expected.map_or(BodyError::TooLarge(None), |_| surplus()));
            }
            self.reserve(length, expected)?;
            if length > body.capacity() {
                // No more than what is reserved: memory that was used before is resident.
                body.reserve(self.reservation.bytes() - body.len());
            }
            body.extend_from_slice(&next);
            next = match self.more().await? {
                Some(chunk) => chunk,
                None if expected.is_some_and(|expected| body.len() < expected) => {
                    return Err(BodyError::Framing("the body ends early"));
                }
                None => return Ok((body.freeze(), self.reservation)),
            };
        }
    }

    /// The next piece that has bytes.
    async fn more(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(chunk) = self.chunk().await? {
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Reserve for so many bytes received, and ahead for about as many to come.
    fn reserve(&mut self, received: usize, expected: Option<usize>) -> Result<(), BodyError> {
        if received <= self.reservation.bytes() && received > 0 {
            return Ok(());
        }
        let ahead =
            received.saturating_mul(2).max(FIRST).min(expected.unwrap_or(self.limits.bytes));
        self.reservation.grow_to(ahead.max(received)).map_err(BodyError::Refused)
    }
}

fn surplus() -> BodyError {
    BodyError::Framing("more bytes than the message has")
}

/// Read to the end, or to the limits, without keeping anything.
pub async fn discard(source: &mut Incoming, limits: Limits) {
    let mut reader = Reader::new(source, limits);
    while reader.received <= limits.bytes as u64 {
        match reader.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}
