//! Send traces as fast as they are taken, or at a rate, and print what came of it as JSON.
//!
//! `load --target 127.0.0.1:4317 [--protocol grpc|http] [--connections 4] [--inflight 4]
//! [--seconds 5 | --requests N] [--warmup 0] [--rate SPANS] [--spans 512] [--compression
//! none|gzip|zstd] [--retry yes]`. With `--retry yes` a refused request is sent again until it is
//! taken. Over HTTP each request in flight has a connection of its own.

use bytes::Bytes;
use heliograph_bench::args::{Args, fail};
use heliograph_bench::client::{Answer, Sender, Target};
use heliograph_bench::telemetry::{Random, compress, frame, request};
use heliograph_bench::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How many different requests are sent in turn.
const DISTINCT: usize = 16;
const OPTIONS: &[&str] = &[
    "target",
    "protocol",
    "connections",
    "inflight",
    "seconds",
    "requests",
    "warmup",
    "rate",
    "spans",
    "compression",
    "retry",
];

struct Plan {
    target: Target,
    bodies: Vec<Bytes>,
    spans: u64,
    requests: u64,
    begin: Instant,
    measure_from: Instant,
    until: Instant,
    interval: Option<Duration>,
    retry: bool,
    next: AtomicU64,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    accepted: u64,
    measured: u64,
    refused: u64,
    errors: std::collections::BTreeMap<String, u64>,
    micros: Vec<u32>,
}

impl Plan {
    /// One request at a time until the plan is done.
    async fn work(self: Arc<Self>, shared: Option<h2::client::SendRequest<Bytes>>) {
        let mut sender = shared.map(Sender::Grpc);
        let mut mine = Outcome::default();
        loop {
            let turn = self.next.fetch_add(1, Relaxed);
            if let Some(interval) = self.interval {
                let due = self.begin + interval.mul_f64(turn as f64);
                tokio::time::sleep_until(due.min(self.until).into()).await;
            }
            if turn >= self.requests || Instant::now() >= self.until {
                break;
            }
            let body = &self.bodies[turn as usize % self.bodies.len()];
            loop {
                let started = Instant::now();
                let answer = match &mut sender {
                    Some(sender) => self.target.send(sender, body.clone()).await,
                    None => match self.target.connect().await {
                        Ok(fresh) => self.target.send(sender.insert(fresh), body.clone()).await,
                        Err(error) => Answer::Unsent(error.to_string()),
                    },
                };
                match answer {
                    Answer::Accepted => {
                        mine.accepted += self.spans;
                        if (self.measure_from..=self.until).contains(&Instant::now()) {
                            mine.measured += self.spans;
                            mine.micros.push(started.elapsed().as_micros() as u32);
                        }
                        break;
                    }
                    Answer::Refused(reason, _)
                    | Answer::Rejected(reason)
                    | Answer::Unanswered(reason)
                    | Answer::Unsent(reason) => {
                        if !reason.starts_with("grpc-status") && !reason.starts_with("http ") {
                            sender = None;
                        }
                        *mine.errors.entry(reason).or_default() += 1;
                        if !self.retry {
                            mine.refused += self.spans;
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
        let mut outcome = self.outcome.lock().await;
        outcome.accepted += mine.accepted;
        outcome.measured += mine.measured;
        outcome.refused += mine.refused;
        outcome.micros.extend(mine.micros);
        for (reason, count) in mine.errors {
            *outcome.errors.entry(reason).or_default() += count;
        }
    }
}

fn report(plan: &Plan, outcome: &mut Outcome) {
    let done = Instant::now();
    let seconds = (done.min(plan.until) - plan.measure_from.min(done)).as_secs_f64();
    outcome.micros.sort_unstable();
    let at = |share: f64| {
        let last = outcome.micros.len().saturating_sub(1);
        let micros = outcome.micros.get((last as f64 * share).round() as usize);
        f64::from(micros.copied().unwrap_or(0)) / 1000.0
    };
    let errors: Vec<String> =
        outcome.errors.iter().map(|(reason, count)| format!("{reason:?}: {count}")).collect();
    println!(
        "{{\"accepted\": {}, \"refused\": {}, \"seconds\": {seconds:.3}, \"spans_per_second\": \
         {:.0}, \"p50_ms\": {:.3}, \"p90_ms\": {:.3}, \"p99_ms\": {:.3}, \"max_ms\": {:.3}, \
         \"errors\": {{{}}}}}",
        outcome.accepted,
        outcome.refused,
        outcome.measured as f64 / seconds.max(1e-9),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        errors.join(", "),
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    keep_memory();
    let args = Args::parse(OPTIONS);
    let spans: usize = args.get("spans", 512);
    let grpc = args.text("protocol").unwrap_or("grpc") == "grpc";
    let encoding = match args.text("compression").unwrap_or("none") {
        "none" => None,
        "gzip" => Some("gzip"),
        "zstd" => Some("zstd"),
        other => fail(&format!("--compression is none, gzip or zstd, not {other}")),
    };
    let mut random = Random(42);
    let mut bodies = Vec::with_capacity(DISTINCT);
    for _ in 0..DISTINCT {
        let data = compress(request(&mut random, spans), encoding.unwrap_or("none"))?;
        bodies.push(if grpc { frame(&data, encoding.is_some()) } else { data.into() });
    }
    let requests = args.get("requests", u64::MAX);
    let unbounded = if requests == u64::MAX { 5.0 } else { 3600.0 };
    let warmup = Duration::from_secs_f64(args.get("warmup", 0.0));
    let begin = Instant::now();
    let plan = Arc::new(Plan {
        target: Target {
            address: args.text("target").unwrap_or_else(|| fail("--target is needed")).to_owned(),
            grpc,
            encoding,
            deadline: None,
        },
        bodies,
        spans: spans as u64,
        requests,
        begin,
        measure_from: begin + warmup,
        until: begin + warmup + Duration::from_secs_f64(args.get("seconds", unbounded)),
        interval: args
            .text("rate")
            .map(|_| Duration::from_secs_f64(spans as f64 / args.get("rate", 1.0_f64).max(1e-3))),
        retry: args.text("retry") == Some("yes"),
        next: AtomicU64::new(0),
        outcome: Mutex::default(),
    });
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..args.get("connections", 4) {
        let shared = match grpc.then(|| plan.target.connect()) {
            Some(connecting) => match connecting.await? {
                Sender::Grpc(sender) => Some(sender),
                Sender::Http(_) => None,
            },
            None => None,
        };
        for _ in 0..args.get("inflight", 4) {
            workers.spawn(plan.clone().work(shared.clone()));
        }
    }
    while workers.join_next().await.is_some() {}
    report(&plan, &mut *plan.outcome.lock().await);
    Ok(())
}
