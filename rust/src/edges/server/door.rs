//! What both protocols do with a body: decompress, validate, hand over, wait for the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{Semaphore, oneshot};

use super::Settings;
use super::body::BodyError;
use crate::edges::admission::{Refusal, Reservation, admission};
use crate::edges::compress::{Coding, DecompressError, decompress};
use crate::edges::load::Load;
use crate::edges::status::{Code, Status, jittered};
use crate::wire::{Batch, Context, Signal};

/// How the body is written, and so how the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Proto,
    Json,
}

/// What the sender hears.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Delivered, but for so many items.
    Ok {
        rejected: u64,
        message: String,
    },
    Fail(Status),
}

/// A request on its way to whoever answers it. Dropping it says "try again".
pub struct Call {
    pub id: u64,
    pub batch: Batch,
    pub reply: oneshot::Sender<Outcome>,
}

/// The claims of a sender who may come in.
pub type Claims = Vec<(String, String)>;

/// A sender's headers on their way to whoever knows the senders; asked before the body is read.
pub struct Question {
    pub headers: HeaderMap,
    pub reply: oneshot::Sender<Result<Claims, Status>>,
}

/// What a server tells: Python in the real one.
pub struct Handlers {
    pub call: Box<dyn Fn(Call) + Send + Sync>,
    /// The sender of this call has gone, and nobody waits for its answer.
    pub gone: Box<dyn Fn(u64) + Send + Sync>,
    /// Absent when anybody may come in.
    pub question: Option<Box<dyn Fn(Question) + Send + Sync>>,
    /// Something is odd; nothing is lost.
    pub warn: Box<dyn Fn(String) + Send + Sync>,
    /// How well whoever takes the calls keeps up.
    pub load: Arc<Load>,
}

/// What all connections of a server share.
pub struct Door {
    pub settings: Settings,
    pub handlers: Handlers,
    pub counts: Counts,
}

/// Says that the sender has gone, unless the call was answered.
struct Waiting<'a> {
    handlers: &'a Handlers,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        (self.handlers.gone)(self.id);
    }
}

/// What became of the requests that never reached the pipeline.
#[derive(Default)]
pub struct Counts {
    /// Turned away for want of memory, or because more came than could be handled.
    pub refused: AtomicU64,
    /// Malformed, too large, or cut off.
    pub invalid: AtomicU64,
}

/// Bodies above this are decompressed and parsed off the I/O threads.
const HEAVY: usize = 64 * 1024;

/// Bounds the threads that decompress and parse; more than there are cores would only take
/// memory.
fn heavy() -> &'static Semaphore {
    static HEAVY: std::sync::OnceLock<Semaphore> = std::sync::OnceLock::new();
    HEAVY
        .get_or_init(|| Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)))
}

/// A body with what its headers say about it.
pub struct Body {
    pub signal: Signal,
    pub encoding: Encoding,
    pub coding: Coding,
    pub data: Bytes,
    pub reservation: Reservation,
}

impl Door {
    /// Whether a request may enter at all; its context if so.
    pub async fn enter(
        &self,
        base: &Arc<Context>,
        out_of_turn: bool,
        headers: &HeaderMap,
        host: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<Arc<Context>, Status> {
        if out_of_turn {
            self.handlers.load.enter().map_err(|refusal| self.refused(&refusal))?;
        }
        self.check()?;
        let auth = self.claims(headers).await?;
        if deadline.is_none() && auth.is_empty() && !self.settings.include_metadata {
            return Ok(base.clone());
        }
        let mut context = Context { deadline, auth, ..(**base).clone() };
        if self.settings.include_metadata {
            context.metadata = metadata(headers);
            if let Some(host) = host {
                context.metadata.push(("host".into(), vec![host.into()]));
            }
        }
        Ok(Arc::new(context))
    }

    /// Whether there is memory.
    fn check(&self) -> Result<(), Status> {
        admission().enter().map_err(|refusal| self.refused(&refusal))
    }

    pub fn refused(&self, refusal: &Refusal) -> Status {
        self.counts.refused.fetch_add(1, Relaxed);
        Status::retry(&*refusal.reason, jittered(refusal.after))
    }

    fn invalid(&self, code: Code, message: impl Into<String>) -> Status {
        self.counts.invalid.fetch_add(1, Relaxed);
        Status::new(code, message)
    }

    /// What the sender of a body that could not be read hears.
    pub fn unreadable(&self, error: BodyError) -> Status {
        let limit = self.settings.max_bytes;
        match error {
            BodyError::Refused(refusal) => self.refused(&refusal),
            BodyError::TooLarge(Some(size)) => {
                self.too_large(format!("received message larger than max ({size} vs. {limit})"))
            }
            BodyError::TooLarge(None) => {
                self.too_large(format!("received message larger than max ({limit})"))
            }
            BodyError::Slow => self.invalid(Code::DeadlineExceeded, "the body came too slowly"),
            BodyError::Broken(reason) => self.invalid(Code::Cancelled, reason),
            BodyError::Framing(reason) => self.invalid(Code::InvalidArgument, reason),
        }
    }

    /// RESOURCE_EXHAUSTED, as in Go; over HTTP it is not the 429 of that code, for it does not
    /// pass.
    fn too_large(&self, message: String) -> Status {
        Status { http: Some(413), ..self.invalid(Code::ResourceExhausted, message) }
    }

    /// Take a body in and wait for what becomes of it.
    pub async fn deliver(&self, body: Body, context: Arc<Context>) -> Outcome {
        let light = body.data.len() <= HEAVY
            || body.coding == Coding::Identity && body.encoding == Encoding::Proto;
        let batch = if light {
            self.open(body, context)
        } else {
            let permit = heavy().acquire().await;
            let batch = tokio::task::block_in_place(|| self.open(body, context));
            drop(permit);
            batch
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(status) => return Outcome::Fail(status),
        };
        if batch.items == 0 {
            return Outcome::Ok { rejected: 0, message: String::new() };
        }
        // Many may have come since this one was let in.
        if let Err(status) = self.check() {
            return Outcome::Fail(status);
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Relaxed);
        let (reply, answer) = oneshot::channel();
        let inside = self.handlers.load.take(batch.data.len());
        (self.handlers.call)(Call { id, batch, reply });
        let waiting = Waiting { handlers: &self.handlers, id };
        let outcome = answer.await;
        std::mem::forget(waiting);
        inside.answered();
        outcome.unwrap_or_else(|_dropped| Outcome::Fail(stopping()))
    }

    /// Ask who the sender is, where somebody wants to know.
    async fn claims(&self, headers: &HeaderMap) -> Result<Claims, Status> {
        let Some(ask) = &self.handlers.question else { return Ok(Claims::new()) };
        let (reply, answer) = oneshot::channel();
        ask(Question { headers: headers.clone(), reply });
        answer.await.unwrap_or_else(|_dropped| Err(stopping()))
    }

    fn open(&self, body: Body, context: Arc<Context>) -> Result<Batch, Status> {
        let Body { signal, encoding, coding, mut data, mut reservation } = body;
        if coding != Coding::Identity {
            let mut grown = admission().count(0);
            let plain = decompress(coding, &data, self.settings.max_bytes, &mut grown);
            data = Bytes::from(plain.map_err(|error| match error {
                DecompressError::TooLarge => {
                    let limit = self.settings.max_bytes;
                    self.too_large(format!("message after decompression larger than max ({limit})"))
                }
                DecompressError::Malformed(_) => {
                    self.invalid(Code::InvalidArgument, format!("the body {error}"))
                }
                DecompressError::Refused(refusal) => self.refused(&refusal),
            })?);
            reservation = grown;
        }
        let batch = match encoding {
            Encoding::Proto => Batch::from_wire(signal, reservation.hold(data), context),
            Encoding::Json => Batch::from_json(signal, &data, context),
        };
        batch.map_err(|error| self.invalid(Code::InvalidArgument, error.to_string()))
    }
}

fn stopping() -> Status {
    Status::retry("the collector is stopping", jittered(Duration::from_secs(1)))
}

/// Headers as the context keeps them: lower-case names, in order of arrival.
fn metadata(headers: &HeaderMap) -> Vec<(String, Vec<String>)> {
    headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into());
            (name.as_str().to_owned(), values.collect())
        })
        .collect()
}
