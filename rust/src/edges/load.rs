//! How far the asyncio loop is behind, and whether it should be given more.
//!
//! While the loop hardly rests, or the process uses all the processors it may, no more should wait
//! than is answered within `TARGET`. Beyond that connections are left unread (`Gate`) until half of
//! it is left, which costs nothing: their senders hold back, and are read in turn. Only when that
//! takes longer than `ENOUGH` are some turned away: those who have just come, so that they hear
//! soon, and no more than are needed, for that takes time from the others. What a backend has been
//! sent does not wait here, and where there is time to spare everything may, so that a slow backend
//! closes no door.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::admission::{Refusal, admission};
use crate::platform::process::processor_micros;

/// Microseconds' worth of data that may wait. With more, each request costs more: what it needs has
/// left the processor's caches when its turn comes.
const TARGET: u64 = 3_000;
/// Calls that may always be here.
const FEW: usize = 32;
/// Of these: as much as opens a connection again, and as closes it.
const HALF: usize = 1;
const WHOLE: usize = 2;
/// As many bytes are read from a connection before what they carry is counted.
const STEP: usize = 16 * 1024;
/// Microseconds that senders may wait to be read.
const ENOUGH: u64 = 1_000_000;
/// Beyond that, whoever is turned away is after so long; and within twice that, or not at all.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often a connection is looked at that waits longer.
const LOOK: Duration = Duration::from_millis(250);
/// Calls to turn away in a window when senders wait `ENOUGH`, a twentieth of a processor's time.
/// Four times as many when they wait twice as long, and so on.
const TURNED_AWAY: u64 = 100;
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
    /// For how long connections wait to be read, in the mean.
    delay: AtomicU64,
    /// Of the window: the sum of such waits, and their number.
    waits: (AtomicU64, AtomicU64),
    /// Calls that may be turned away now.
    refusals: AtomicI64,
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
            delay: AtomicU64::new(0),
            waits: Default::default(),
            refusals: AtomicI64::new(0),
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
        self.look_at_waits(restless);
        *window = Window { began: now, waited: 0, answered, used };
    }

    /// See how long connections wait, and so how many calls to turn away.
    fn look_at_waits(&self, restless: bool) {
        let (sum, count) = (self.waits.0.swap(0, Relaxed), self.waits.1.swap(0, Relaxed));
        let mean = if restless { sum.checked_div(count) } else { Some(0) };
        let delay = self.delay.load(Relaxed);
        let delay = mean.map_or(delay, |mean| delay.midpoint(mean));
        self.delay.store(delay, Relaxed);
        let more = TURNED_AWAY * (delay / 1000).pow(2) / (ENOUGH / 1000).pow(2);
        let left =
            if delay < ENOUGH { 0 } else { self.refusals.load(Relaxed).min(0) + more as i64 };
        self.refusals.store(left, Relaxed);
    }

    /// A connection waited so many microseconds to be read, or has so far.
    fn waited(&self, micros: u64) {
        self.waits.0.fetch_add(micros, Relaxed);
        self.waits.1.fetch_add(1, Relaxed);
    }

    /// Whether whoever comes now should rather come later.
    fn turns_away(&self) -> bool {
        self.refusals.load(Relaxed) > 0 || self.stands_still()
    }

    /// Whether no event has been taken for so long that senders should not wait for it.
    fn stands_still(&self) -> bool {
        let since = self.since.load(Relaxed);
        since > 0 && self.now().saturating_sub(since) > ENOUGH
    }

    /// Whether a call that was read out of turn may come.
    pub fn enter(&self) -> Result<(), Refusal> {
        if self.has_room(HALF) || !self.turns_away() {
            return Ok(());
        }
        self.refusals.fetch_sub(1, Relaxed);
        Err(Refusal { reason: "more comes in than can be handled".into(), after: AFTER })
    }

    /// Whether fewer calls are here, or fewer bytes wait, than so many halves of what should.
    fn has_room(&self, halves: usize) -> bool {
        if 2 * self.calls.load(Relaxed) < halves * FEW {
            return true;
        }
        let waiting = self.inside.load(Relaxed).saturating_sub(self.away.load(Relaxed));
        2 * waiting < halves.saturating_mul(self.most.load(Relaxed))
            || self.rests(|| self.now())
            // Whoever is read is refused, and need not wait for that.
            || admission().is_full()
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
    /// Bytes read since those before were counted.
    uncounted: usize,
}

enum State {
    Open,
    Closed {
        since: u64,
        /// Bytes that were answered until the last look.
        answered: u64,
        turn: Arc<AtomicBool>,
        look: Pin<Box<Sleep>>,
    },
    /// Everything that waits is read, out of turn.
    OutOfTurn,
}

impl Gate {
    pub fn new(load: Arc<Load>) -> Self {
        Self { load, state: State::Open, uncounted: 0 }
    }

    /// Ready when the connection should be read.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.uncounted >= STEP && self.load.restless.load(Relaxed) {
            // The calls that were read have tasks, whose turn it is now.
            self.uncounted = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if matches!(self.state, State::Open) && !self.load.has_room(WHOLE) {
            self.state = State::Closed {
                since: self.load.now(),
                answered: self.load.answered.load(Relaxed),
                turn: Arc::new(AtomicBool::new(false)),
                look: Box::pin(sleep(PATIENCE)),
            };
        }
        let State::Closed { since, answered, turn, look } = &mut self.state else {
            return Poll::Ready(());
        };
        let mut at_once = false;
        while !at_once && look.as_mut().poll(context).is_ready() {
            let waited = self.load.now() - *since;
            self.load.waited(waited);
            at_once = self.load.turns_away() && waited < 2 * PATIENCE.as_micros() as u64;
            look.as_mut().reset(Instant::now() + LOOK);
            // What is inside waits for a backend: no turn would come of it.
            let before = std::mem::replace(answered, self.load.answered.load(Relaxed));
            if before == *answered {
                turn.store(true, Relaxed);
            }
        }
        if !at_once && !turn.load(Relaxed) && !self.load.has_room(HALF) {
            self.load.queue(turn, context.waker());
            return Poll::Pending;
        }
        self.load.waited(self.load.now() - *since);
        self.load.leave(turn);
        self.state = if at_once { State::OutOfTurn } else { State::Open };
        Poll::Ready(())
    }

    /// Whether what is read is out of turn.
    pub fn is_out_of_turn(&self) -> bool {
        matches!(self.state, State::OutOfTurn)
    }

    /// So many bytes were read.
    pub fn was_read(&mut self, bytes: usize) {
        self.uncounted += bytes;
    }

    /// There was nothing more to read.
    pub fn emptied(&mut self) {
        self.uncounted = 0;
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
        let (load, mut inside) = course(62, 50, 100, 50);
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
        let away = load.away(4980 * KB);
        assert!(load.has_room(HALF));
        drop(away);
        assert!(!load.has_room(WHOLE));
    }

    #[test]
    fn where_there_is_time_to_spare_everything_may_come() {
        assert!(course(100_000, 500_000, 55, 80).0.has_room(HALF));
        assert!(!course(100_000, 500_000, 55, 90).0.has_room(WHOLE));
    }

    #[test]
    fn a_few_calls_may_always_come() {
        assert!(course(FEW - 1, 10_000_000, 100, 50).0.has_room(WHOLE));
        assert!(!course(FEW, 10_000_000, 100, 50).0.has_room(WHOLE));
    }

    /// So many windows in which connections waited so many milliseconds.
    fn windows(load: &Load, count: usize, millis: u64) {
        for _ in 0..count {
            load.waited(millis * 1000);
            load.look_at_waits(true);
        }
    }

    #[test]
    fn nobody_is_turned_away_while_the_wait_is_short() {
        let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
        windows(&load, 20, 990);
        assert!(load.enter().is_ok());
    }

    #[test]
    fn the_longer_the_wait_the_more_are_turned_away() {
        for (seconds, calls) in [(1, 100), (2, 400), (3, 900)] {
            let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
            windows(&load, 40, seconds * 1000 + 5);
            let refused = (0..10_000).take_while(|_| load.enter().is_err()).count();
            assert!(refused.abs_diff(calls) <= 15, "{refused} at {seconds} s");
            load.look_at_waits(true);
            assert_eq!(load.enter().unwrap_err().after, AFTER, "in the next window");
            load.look_at_waits(false);
            load.look_at_waits(false);
            assert!(load.enter().is_ok(), "the loop rests");
        }
    }

    #[test]
    fn one_who_comes_when_there_is_room_is_let_in() {
        let (load, mut inside) = course(2 * FEW, 10_000_000, 100, 50);
        windows(&load, 20, 3000);
        assert!(load.enter().is_err());
        inside.truncate(FEW / 2 - 1);
        assert!(load.enter().is_ok());
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
    async fn a_connection_waits_for_its_turn_however_long() {
        let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
        let mut gate = Gate::new(load.clone());
        for _ in 0..100 {
            assert!(!poll(&mut gate));
            load.answered.fetch_add(1, Relaxed);
            tokio::time::advance(LOOK).await;
        }
        let (sum, count) = (load.waits.0.load(Relaxed), load.waits.1.load(Relaxed));
        assert!(count == 99 && sum / count > 12 * ENOUGH, "{sum} {count}");
        drop(gate);
        assert_eq!(load.queue.load(Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_is_read_out_of_turn_when_the_wait_is_long() {
        let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
        let mut old = Gate::new(load.clone());
        assert!(!poll(&mut old));
        load.answered.fetch_add(1, Relaxed);
        tokio::time::advance(3 * PATIENCE).await;
        assert!(!poll(&mut old));
        windows(&load, 20, 1500);
        let mut new = Gate::new(load.clone());
        assert!(!poll(&mut new));
        tokio::time::advance(PATIENCE + Duration::from_millis(1)).await;
        assert!(poll(&mut new) && new.is_out_of_turn());
        assert!(poll(&mut new), "all that waits there");
        new.emptied();
        assert!(!new.is_out_of_turn() && !poll(&mut new));
        assert!(!poll(&mut old), "who hears late anyway waits on");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_answered_a_connection_is_read_all_the_same() {
        let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
        let mut gate = Gate::new(load);
        assert!(!poll(&mut gate));
        tokio::time::advance(PATIENCE + Duration::from_millis(1)).await;
        assert!(poll(&mut gate) && !gate.is_out_of_turn());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_counted_before_more_is() {
        let (load, _inside) = course(FEW / 2, 10_000_000, 100, 50);
        let mut gate = Gate::new(load);
        assert!(poll(&mut gate));
        gate.was_read(STEP - 1);
        assert!(poll(&mut gate));
        gate.was_read(1);
        assert!(!poll(&mut gate), "once");
        assert!(poll(&mut gate));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_loop_that_stands_still() {
        let (load, _inside) = course(2 * FEW, 10_000_000, 100, 50);
        load.since.store(load.now(), Relaxed);
        tokio::time::advance(Duration::from_micros(ENOUGH)).await;
        assert!(load.enter().is_ok());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(load.enter().is_err());
    }

    #[test]
    fn a_loop_that_stands_still_is_given_no_more() {
        let (load, _inside) = course(2 * UNKNOWN / KB + 1, 1000, 50, 50);
        assert!(load.has_room(HALF));
        load.since.store(load.now(), Relaxed);
        assert!(load.rests(|| load.now()));
        let later = load.now() + LATE;
        assert!(!load.rests(|| later));
    }
}
