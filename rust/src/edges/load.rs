//! How far the asyncio loop is behind, and whether it should be given more.
//!
//! While the loop hardly rests, or the process uses all the processors it may, no more should wait
//! than is answered within `TARGET`. Beyond that connections are left unread (`Gate`) until half of
//! it is left, which costs nothing: their senders hold back. What is still unread after `PATIENCE`
//! is read, and turned away when twice as much waits, so that a sender hears soon. What a backend
//! has been sent does not wait here, and where there is time to spare everything may, so that a slow
//! backend closes no door.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use super::admission::Refusal;
use crate::platform::process::processor_micros;

/// Microseconds' worth of data that may wait. With more, each request costs more: what it needs has
/// left the processor's caches when its turn comes.
const TARGET: u64 = 3_000;
/// Calls that may always be here.
const FEW: usize = 32;
/// Of these: as much as opens a connection again, as closes it, and as turns a call away.
const HALF: usize = 1;
const WHOLE: usize = 2;
const TWICE: usize = 4;
/// For how long a connection may stay unread.
const PATIENCE: Duration = Duration::from_millis(30);
/// Bytes that may wait before the loop's speed is known.
const UNKNOWN: usize = 4 << 20;
/// Microseconds over which rest and speed are measured.
const WINDOW: u64 = 100_000;
/// The loop hardly rests when events waited for so many hundredths of the window.
const RESTLESS: u64 = 60;
/// The processors are used up when so many hundredths of their time are.
const USED_UP: u64 = 85;
/// An event that waits so many microseconds says so before the window does.
const LATE: u64 = 50_000;
/// What refused senders are told to wait, before jitter.
const AFTER: Duration = Duration::from_secs(2);

/// The loop behind one queue of events.
pub struct Load {
    epoch: Instant,
    /// Since when an event waits; 0 when none does. Times are microseconds since the epoch.
    since: AtomicU64,
    /// Calls that are not answered, and their bytes.
    calls: AtomicUsize,
    inside: AtomicUsize,
    /// Bytes with backends.
    away: AtomicUsize,
    /// Bytes answered so far.
    answered: AtomicU64,
    restless: AtomicBool,
    /// Bytes that may wait while the loop hardly rests.
    most: AtomicUsize,
    processors: u64,
    window: Mutex<Window>,
    unread: Mutex<VecDeque<Unread>>,
    /// How many there are.
    queue: AtomicUsize,
}

/// A connection that waits to be read.
struct Unread {
    turn: Arc<AtomicBool>,
    waker: Waker,
}

#[derive(Default)]
struct Window {
    began: u64,
    /// For how long some event waited.
    waited: u64,
    answered: u64,
    /// Microseconds of the processors' time that the process has had.
    used: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            since: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            away: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            restless: AtomicBool::new(false),
            most: AtomicUsize::new(UNKNOWN),
            processors: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
            window: Mutex::default(),
            unread: Mutex::default(),
            queue: AtomicUsize::new(0),
        }
    }
}

impl Load {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64 + 1
    }

    /// The first event began to wait.
    pub fn waits(&self) {
        self.since.store(self.now(), Relaxed);
    }

    /// Everything that waited was taken.
    pub fn drained(&self) {
        self.drained_at(self.now(), processor_micros);
    }

    fn drained_at(&self, now: u64, used: impl FnOnce() -> u64) {
        let since = self.since.swap(0, Relaxed);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if since > 0 {
            window.waited += now.saturating_sub(since.max(window.began));
        }
        let length = now.saturating_sub(window.began);
        if length < WINDOW {
            return;
        }
        let answered = self.answered.load(Relaxed);
        let used = used();
        let restless = window.waited * 100 > length * RESTLESS
            || (used - window.used) * 100 > length * self.processors * USED_UP;
        if restless {
            // Its speed is known only when it does all it can.
            let most = ((answered - window.answered) * TARGET / length) as usize;
            self.most.store(self.most.load(Relaxed).midpoint(most), Relaxed);
        }
        self.restless.store(restless, Relaxed);
        *window = Window { began: now, waited: 0, answered, used };
    }

    /// Whether another call may come.
    pub fn enter(&self) -> Result<(), Refusal> {
        if self.has_room(TWICE) {
            return Ok(());
        }
        Err(Refusal { reason: "more comes in than can be handled".into(), after: AFTER })
    }

    /// Whether fewer calls are here, or fewer bytes wait, than so many halves of what should.
    fn has_room(&self, halves: usize) -> bool {
        if 2 * self.calls.load(Relaxed) < halves * FEW {
            return true;
        }
        let waiting = self.inside.load(Relaxed).saturating_sub(self.away.load(Relaxed));
        2 * waiting < halves.saturating_mul(self.most.load(Relaxed)) || self.rests(|| self.now())
    }

    fn unread(&self) -> std::sync::MutexGuard<'_, VecDeque<Unread>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection waits for its turn.
    fn queue(&self, turn: &Arc<AtomicBool>, waker: &Waker) {
        let mut unread = self.unread();
        match unread.iter_mut().find(|other| Arc::ptr_eq(&other.turn, turn)) {
            Some(known) => known.waker.clone_from(waker),
            None => unread.push_back(Unread { turn: turn.clone(), waker: waker.clone() }),
        }
        self.queue.store(unread.len(), Relaxed);
    }

    /// It waits no more.
    fn leave(&self, turn: &Arc<AtomicBool>) {
        let mut unread = self.unread();
        unread.retain(|other| !Arc::ptr_eq(&other.turn, turn));
        self.queue.store(unread.len(), Relaxed);
    }

    /// Let the connection that has waited longest be read, if there is room now.
    fn read_on(&self) {
        if self.queue.load(Relaxed) == 0 || !self.has_room(HALF) {
            return;
        }
        let mut unread = self.unread();
        let next = unread.pop_front();
        self.queue.store(unread.len(), Relaxed);
        drop(unread);
        if let Some(next) = next {
            next.turn.store(true, Relaxed);
            next.waker.wake();
        }
    }

    fn rests(&self, now: impl FnOnce() -> u64) -> bool {
        if self.restless.load(Relaxed) {
            return false;
        }
        let since = self.since.load(Relaxed);
        since == 0 || now().saturating_sub(since) < LATE
    }

    /// Count a call of so many bytes that the loop is given, until the guard is dropped.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Inside {
        self.calls.fetch_add(1, Relaxed);
        self.inside.fetch_add(bytes, Relaxed);
        Inside { load: self.clone(), bytes }
    }

    /// Count so many bytes that were sent, until the guard is dropped.
    pub fn away(self: &Arc<Self>, bytes: usize) -> Away {
        self.away.fetch_add(bytes, Relaxed);
        Away { load: self.clone(), bytes }
    }
}

/// A call that is not answered.
pub struct Inside {
    load: Arc<Load>,
    bytes: usize,
}

impl Inside {
    /// It was answered.
    pub fn answered(self) {
        self.load.answered.fetch_add(self.bytes as u64, Relaxed);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.load.calls.fetch_sub(1, Relaxed);
        self.load.inside.fetch_sub(self.bytes, Relaxed);
        self.load.read_on();
    }
}

/// Stands before a connection: whether it should be read.
pub struct Gate {
    load: Arc<Load>,
    state: State,
}

enum State {
    Open,
    Closed {
        turn: Arc<AtomicBool>,
        patience: Pin<Box<Sleep>>,
    },
    /// Everything that waits is read.
    Patient,
}

impl Gate {
    pub fn new(load: Arc<Load>) -> Self {
        Self { load, state: State::Open }
    }

    /// Ready when the connection should be read.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Open) && !self.load.has_room(WHOLE) {
            let turn = Arc::new(AtomicBool::new(false));
            self.state = State::Closed { turn, patience: Box::pin(sleep(PATIENCE)) };
        }
        let State::Closed { turn, patience } = &mut self.state else { return Poll::Ready(()) };
        let over = patience.as_mut().poll(context).is_ready();
        if !over && !turn.load(Relaxed) && !self.load.has_room(HALF) {
            self.load.queue(turn, context.waker());
            return Poll::Pending;
        }
        self.load.leave(turn);
        self.state = if over { State::Patient } else { State::Open };
        Poll::Ready(())
    }

    /// There was nothing more to read.
    pub fn emptied(&mut self) {
        self.state = State::Open;
        self.load.read_on();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let State::Closed { turn, .. } = &self.state {
            self.load.leave(turn);
            // Its turn may have come: the next one's, then.
            self.load.read_on();
        }
    }
}

/// Bytes that a backend has not answered for.
pub struct Away {
    load: Arc<Load>,
    bytes: usize,
}

impl Drop for Away {
    fn drop(&mut self) {
        self.load.away.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: usize = 1000;

    /// A loop that was given so many calls of 1 kB, answers one each `each` microseconds, lets events
    /// wait for so many hundredths of the time, and takes as many of two processors.
    fn course(calls: usize, each: u64, waiting: u64, used: u64) -> (Arc<Load>, Vec<Inside>) {
        let load = Arc::new(Load { processors: 2, ..Load::default() });
        let inside = (0..calls).map(|_| load.take(KB)).collect();
        for step in 1..=2000 {
            let now = step * 1000;
            load.answered.store(now * KB as u64 / each, Relaxed);
            load.since.store(now - 10 * waiting, Relaxed);
            load.drained_at(now, || now * 2 * used / 100);
        }
        (load, inside)
    }

    #[test]
    fn a_loop_that_hardly_rests_is_given_what_it_answers_in_time() {
        // 20 000 answers a second: 60 calls are answered within the target.
        let (load, mut inside) = course(122, 50, 100, 50);
        assert_eq!(load.enter().unwrap_err().after, AFTER);
        inside.truncate(118);
        assert!(load.enter().is_ok());
        assert!(!load.has_room(WHOLE));
        inside.truncate(58);
        assert!(load.has_room(WHOLE));
        assert!(!load.has_room(HALF));
        inside.truncate(28);
        assert!(load.has_room(HALF));
    }

    #[test]
    fn what_a_backend_has_does_not_wait() {
        let (load, _inside) = course(5000, 50, 100, 50);
        let away = load.away(4900 * KB);
        assert!(load.enter().is_ok());
        drop(away);
        assert!(load.enter().is_err());
    }

    #[test]
    fn where_there_is_time_to_spare_everything_may_come() {
        assert!(course(100_000, 500_000, 55, 80).0.enter().is_ok());
        assert!(course(100_000, 500_000, 55, 90).0.enter().is_err());
    }

    #[test]
    fn a_few_calls_may_always_come() {
        assert!(course(2 * FEW - 1, 10_000_000, 100, 50).0.enter().is_ok());
        assert!(course(2 * FEW, 10_000_000, 100, 50).0.enter().is_err());
    }

    fn poll(gate: &mut Gate) -> bool {
        gate.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_left_unread_until_it_is_its_turn() {
        let (load, mut inside) = course(2 * FEW, 10_000_000, 100, 50);
        let mut gates = [Gate::new(load.clone()), Gate::new(load.clone())];
        assert!(!poll(&mut gates[0]) && !poll(&mut gates[1]));
        inside.truncate(FEW / 2);
        assert!(!poll(&mut gates[0]), "still half of what should be");
        inside.pop();
        assert!(poll(&mut gates[0]));
        assert_eq!(load.queue.load(Relaxed), 1, "one at a time");
        gates[0].emptied();
        assert_eq!(load.queue.load(Relaxed), 0, "nothing was there: it is the next one's turn");
        assert!(poll(&mut gates[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_all_that_waits_is_read() {
        let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
        let mut gate = Gate::new(load.clone());
        assert!(!poll(&mut gate));
        tokio::time::advance(PATIENCE + Duration::from_millis(1)).await;
        assert!(poll(&mut gate) && poll(&mut gate));
        gate.emptied();
        assert!(!poll(&mut gate));
        drop(gate);
        assert_eq!(load.queue.load(Relaxed), 0);
    }

    #[test]
    fn a_loop_that_stands_still_is_given_no_more() {
        let (load, _inside) = course(2 * UNKNOWN / KB + 1, 1000, 50, 50);
        assert!(load.enter().is_ok());
        load.since.store(load.now(), Relaxed);
        assert!(load.rests(|| load.now()));
        let later = load.now() + LATE;
        assert!(!load.rests(|| later));
    }
}
