//! Many senders as SDKs are: each span has a number, what is refused is sent again until taken.
//!
//! `herd --target 127.0.0.1:4317 [--sender 1] [--protocol grpc|http] [--compression none|gzip|zstd]
//! [--connections 4] [--rate SPANS | --inflight 4] [--spans 512] [--seconds N] [--patience 30]
//! [--deadline 10] [--backoff 1] [--backlog N] [--streams N]`. With `--rate` requests are made by the clock,
//! however the earlier ones fare; without it each connection has so many in flight. It goes on
//! until SIGTERM or for `--seconds`, then gives what is not accepted yet another `--patience`
//! seconds. Five times a second it prints its counts as a line of JSON, and at the end one with
//! `"done": true`, the serials that were accepted, as runs, and latencies. `--backlog` bounds the
//! requests that are under way; what the clock would make beyond is shed, as an SDK's queue does.
//! `--streams` bounds the calls on one gRPC connection; waiting for a turn is in no latency.

use bytes::Bytes;
use heliograph_bench::args::{Args, fail};
use heliograph_bench::client::{Answer, Sender, Target};
use heliograph_bench::serials::{Serials, Template};
use heliograph_bench::telemetry::{Random, compress, frame};
use heliograph_bench::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const OPTIONS: &[&str] = &[
    "target",
    "sender",
    "protocol",
    "compression",
    "connections",
    "inflight",
    "rate",
    "spans",
    "seconds",
    "patience",
    "deadline",
    "backoff",
    "backlog",
    "streams",
];
/// The longest wait of an SDK between two attempts that nobody told it.
const LONGEST: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(200);

/// Connections, as many as wanted, replaced when they break.
struct Pool {
    target: Target,
    /// Over gRPC: shared, each with the number of times that it was made.
    shared: Vec<tokio::sync::Mutex<Option<h2::client::SendRequest<Bytes>>>>,
    /// Over gRPC: how many calls may begin on each.
    turns: Vec<tokio::sync::Semaphore>,
    /// Over HTTP: those that carry nothing now.
    idle: Mutex<Vec<Sender>>,
    deadline: Duration,
}

impl Pool {
    async fn send(&self, turn: u64, body: Bytes) -> (Answer, Duration) {
        let (place, mut sender) = match self.connection(turn).await {
            Ok(found) => found,
            Err(error) => return (Answer::Unsent(error.to_string()), Duration::ZERO),
        };
        let _turn = self.turns[place].acquire().await;
        let started = Instant::now();
        let sent = tokio::time::timeout(self.deadline, self.target.send(&mut sender, body)).await;
        let is_late = sent.is_err();
        let answer = sent.unwrap_or_else(|_| Answer::Unanswered("no answer in time".into()));
        match (&answer, sender) {
            // Over gRPC the next request finds out whether the connection still lives.
            (_, Sender::Grpc(_)) => {
                if matches!(answer, Answer::Unanswered(_) | Answer::Unsent(_)) && !is_late {
                    *self.shared[place].lock().await = None;
                }
            }
            (Answer::Unanswered(_) | Answer::Unsent(_), Sender::Http(_)) => {}
            (_, sender) => lock(&self.idle).push(sender),
        }
        (answer, started.elapsed())
    }

    async fn connection(&self, turn: u64) -> Result<(usize, Sender), Error> {
        if !self.target.grpc {
            let idle = lock(&self.idle).pop();
            return Ok((
                0,
                match idle {
                    Some(sender) => sender,
                    None => self.connect().await?,
                },
            ));
        }
        let place = (turn % self.shared.len() as u64) as usize;
        let mut slot = self.shared[place].lock().await;
        if let Some(sender) = &*slot {
            return Ok((place, Sender::Grpc(sender.clone())));
        }
        let fresh = self.connect().await?;
        if let Sender::Grpc(sender) = &fresh {
            *slot = Some(sender.clone());
        }
        Ok((place, fresh))
    }

    async fn connect(&self) -> Result<Sender, Error> {
        tokio::time::timeout(self.deadline, self.target.connect()).await?
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Requests by what became of them; an attempt counts once each.
#[derive(Default)]
struct Tally {
    made: u64,
    shed: u64,
    pending: u64,
    accepted: Serials,
    rejected: u64,
    refused: u64,
    unanswered: u64,
    unsent: u64,
    reasons: BTreeMap<String, u64>,
    accept_micros: Vec<u32>,
    refuse_micros: Vec<u32>,
    told_millis: Vec<u32>,
}

struct Herd {
    pool: Pool,
    template: Template,
    compression: String,
    backoff: Duration,
    began: Instant,
    tally: Mutex<Tally>,
    /// False when the last patience is over.
    waiting: watch::Sender<bool>,
}

impl Herd {
    fn body(&self, turn: u64) -> std::io::Result<Bytes> {
        let message = self.template.request(turn * self.template.spans());
        let data = compress(message, &self.compression)?;
        let is_compressed = self.pool.target.encoding.is_some();
        Ok(if self.pool.target.grpc { frame(&data, is_compressed) } else { data.into() })
    }

    /// Send one request until it is taken, never to be taken, or patience is over.
    async fn see_through(&self, turn: u64) {
        lock(&self.tally).pending += 1;
        let mut waiting = self.waiting.subscribe();
        tokio::select! {
            () = self.insist(turn) => lock(&self.tally).pending -= 1,
            _ = waiting.wait_for(|waiting| !*waiting) => {}
        }
    }

    async fn insist(&self, turn: u64) {
        let mut random = Random(turn);
        let mut backoff = self.backoff;
        loop {
            let Ok(body) = self.body(turn) else { return };
            let (answer, took) = self.pool.send(turn, body).await;
            let Some(told) = self.note(turn, &answer, took) else { return };
            // An SDK waits what it is told, else its own growing interval, spread by a fifth.
            let spread = 0.8 + 0.4 * (random.draw() >> 11) as f64 / (1_u64 << 53) as f64;
            let own = backoff.mul_f64(spread);
            backoff = (backoff * 2).min(LONGEST);
            tokio::time::sleep(told.unwrap_or(own)).await;
        }
    }

    /// Count an attempt; the delay that was told, or None when the request is over.
    fn note(&self, turn: u64, answer: &Answer, took: Duration) -> Option<Option<Duration>> {
        let micros = took.as_micros() as u32;
        let mut tally = lock(&self.tally);
        let (reason, told) = match answer {
            Answer::Accepted => {
                let spans = self.template.spans();
                for serial in turn * spans..(turn + 1) * spans {
                    tally.accepted.insert(serial);
                }
                tally.accept_micros.push(micros);
                return None;
            }
            Answer::Rejected(reason) => {
                tally.rejected += 1;
                *tally.reasons.entry(reason.clone()).or_default() += 1;
                return None;
            }
            Answer::Refused(reason, told) => {
                tally.refused += 1;
                tally.refuse_micros.push(micros);
                tally.told_millis.extend(told.map(|told| told.as_millis() as u32));
                (reason, *told)
            }
            Answer::Unanswered(reason) => {
                tally.unanswered += 1;
                (reason, None)
            }
            Answer::Unsent(reason) => {
                tally.unsent += 1;
                (reason, None)
            }
        };
        *tally.reasons.entry(reason.clone()).or_default() += 1;
        Some(told)
    }

    fn line(&self) -> String {
        let tally = lock(&self.tally);
        format!(
            "\"seconds\": {:.3}, \"made\": {}, \"accepted\": {}, \"pending\": {}, \"refused\": {}, \
             \"rejected\": {}, \"unanswered\": {}, \"unsent\": {}, \"shed\": {}",
            self.began.elapsed().as_secs_f64(),
            tally.made * self.template.spans(),
            tally.accepted.count,
            tally.pending * self.template.spans(),
            tally.refused,
            tally.rejected,
            tally.unanswered,
            tally.unsent,
            tally.shed,
        )
    }

    fn end(&self) -> String {
        let line = self.line();
        let mut tally = lock(&self.tally);
        let reasons = tally.reasons.iter().map(|(reason, count)| format!("{reason:?}: {count}"));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        let runs = tally.accepted.json();
        let accept = spread(&mut tally.accept_micros, 1000.0);
        let refuse = spread(&mut tally.refuse_micros, 1000.0);
        let told = spread(&mut tally.told_millis, 1.0);
        format!(
            "{line}, \"done\": true, \"reasons\": {{{reasons}}}, \"accept_ms\": {accept}, \
             \"refuse_ms\": {refuse}, \"told_ms\": {told}, \"runs\": {runs}"
        )
    }
}

fn spread(values: &mut [u32], unit: f64) -> String {
    values.sort_unstable();
    let at = |share: f64| {
        let last = values.len().saturating_sub(1) as f64;
        f64::from(values.get((last * share).round() as usize).copied().unwrap_or(0)) / unit
    };
    format!(
        "{{\"count\": {}, \"min\": {:.3}, \"p50\": {:.3}, \"p99\": {:.3}, \"max\": {:.3}}}",
        values.len(),
        at(0.0),
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

/// Make requests by the clock, until told to stop.
async fn pace(herd: Arc<Herd>, interval: Duration, backlog: u64) {
    let mut tasks = tokio::task::JoinSet::new();
    let mut stopping = herd.waiting.subscribe();
    let making = async {
        for turn in 0_u64.. {
            let due = herd.began + interval.mul_f64(turn as f64);
            tokio::time::sleep_until(due.into()).await;
            while tasks.try_join_next().is_some() {}
            {
                let mut tally = lock(&herd.tally);
                if tally.pending >= backlog {
                    tally.shed += 1;
                    continue;
                }
                tally.made += 1;
            }
            let herd = herd.clone();
            tasks.spawn(async move { herd.see_through(turn).await });
        }
    };
    tokio::select! {
        () = making => {}
        _ = stopping.changed() => {}
    }
    while tasks.join_next().await.is_some() {}
}

/// Keep a number of requests under way, until told to stop.
async fn press(herd: Arc<Herd>, workers: u64) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let herd = herd.clone();
        let stopping = herd.waiting.subscribe();
        tasks.spawn(async move {
            while !stopping.has_changed().unwrap_or(true) {
                let turn = {
                    let mut tally = lock(&herd.tally);
                    tally.made += 1;
                    tally.made - 1
                };
                herd.see_through(turn).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    keep_memory();
    let args = Args::parse(OPTIONS);
    let compression = args.text("compression").unwrap_or("none").to_owned();
    let encoding = match compression.as_str() {
        "none" => None,
        "gzip" => Some("gzip"),
        "zstd" => Some("zstd"),
        other => fail(&format!("--compression is none, gzip or zstd, not {other}")),
    };
    let seconds = |name: &str, default| Duration::from_secs_f64(args.get(name, default));
    let deadline = seconds("deadline", 10.0);
    let connections: u64 = args.get("connections", 4);
    let spans: usize = args.get("spans", 512);
    let unbounded = tokio::sync::Semaphore::MAX_PERMITS;
    let streams: usize = match args.text("protocol").unwrap_or("grpc") {
        "grpc" => args.get("streams", unbounded),
        _ => unbounded,
    };
    let herd = Arc::new(Herd {
        pool: Pool {
            target: Target {
                address: args.text("target").unwrap_or_else(|| fail("--target is needed")).into(),
                grpc: args.text("protocol").unwrap_or("grpc") == "grpc",
                encoding,
                deadline: Some(deadline),
            },
            shared: (0..connections).map(|_| tokio::sync::Mutex::default()).collect(),
            turns: (0..connections.max(1)).map(|_| tokio::sync::Semaphore::new(streams)).collect(),
            idle: Mutex::default(),
            deadline,
        },
        template: Template::new(&mut Random(42), spans, args.get("sender", 1)),
        compression,
        backoff: seconds("backoff", 1.0),
        began: Instant::now(),
        tally: Mutex::default(),
        waiting: watch::Sender::new(true),
    });
    let working = match args.text("rate") {
        Some(_) => {
            let interval = spans as f64 / args.get("rate", 1.0_f64).max(1e-3);
            let interval = Duration::from_secs_f64(interval);
            tokio::spawn(pace(herd.clone(), interval, args.get("backlog", u64::MAX)))
        }
        None => tokio::spawn(press(herd.clone(), connections * args.get("inflight", 4))),
    };
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut end = herd.began + seconds("seconds", 1e6);
    let mut is_making = true;
    while !working.is_finished() {
        tokio::select! {
            _ = stop.recv() => end = Instant::now(),
            () = tokio::time::sleep(TICK.min(end - Instant::now().min(end))) => {}
        }
        println!("{{{}}}", herd.line());
        if Instant::now() < end {
            continue;
        }
        // The first word stops the making; the second gives up what is left.
        herd.waiting.send_replace(is_making);
        is_making = false;
        end += seconds("patience", 30.0);
    }
    working.await?;
    println!("{{{}}}", herd.end());
    Ok(())
}
