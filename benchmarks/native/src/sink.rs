//! Take OTLP over gRPC and HTTP, count it and forget it, or misbehave on request.
//!
//! `sink [--grpc 127.0.0.1:0] [--http 127.0.0.1:0] [--control 127.0.0.1:0] [--mood "slow 500"]
//! [--fail-every N] [--record FILE] [--blind yes] [--check yes | --seen FILE]` prints its ports as
//! one line of JSON, answers `GET /stats` on the control and the HTTP port, and prints the same
//! when it ends. `POST /mood` on the control port changes how it behaves (see `moods`).
//! `--fail-every` refuses each N-th request with UNAVAILABLE or 503. `--record` appends each
//! request before it is acknowledged: one byte of signal (t, m or l), four of length (big-endian),
//! the protobuf message. `--check` notes every span of the herd by its id, which `GET /seen`
//! tells; with `--seen` the notes outlive the process. Compressed requests are inflated to be
//! counted unless `--blind yes`, which counts requests and bytes only.

use bytes::{Bytes, BytesMut};
use heliograph_bench::args::{Args, fail};
use heliograph_bench::moods::{Mood, listen};
use heliograph_bench::scan::{Counter, Signal};
use heliograph_bench::serials::Seen;
use heliograph_bench::*;
use http_body_util::{BodyExt, Full};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

struct Sink {
    requests: AtomicU64,
    refused: AtomicU64,
    malformed: AtomicU64,
    /// Requests taken whose answer could not be sent, or was not on purpose.
    unanswered: AtomicU64,
    bytes: AtomicU64,
    items: [AtomicU64; 3],
    mood: watch::Sender<Mood>,
    seen: Option<Mutex<Seen>>,
    fail_every: u64,
    blind: bool,
    record: Option<Mutex<std::fs::File>>,
}

/// What is done with the chunks of one request.
enum Body {
    Count(Counter),
    Keep(BytesMut),
    Drop,
}

/// What the sender hears.
enum Verdict {
    Taken,
    TryAgain(Option<Duration>),
    Never,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Sink {
    fn stats(&self) -> String {
        let [spans, points, records] = &self.items;
        format!(
            "{{\"requests\": {}, \"refused\": {}, \"malformed\": {}, \"unanswered\": {}, \"bytes\": \
             {}, \"spans\": {}, \"points\": {}, \"records\": {}}}",
            self.requests.load(Relaxed),
            self.refused.load(Relaxed),
            self.malformed.load(Relaxed),
            self.unanswered.load(Relaxed),
            self.bytes.load(Relaxed),
            spans.load(Relaxed),
            points.load(Relaxed),
            records.load(Relaxed),
        )
    }

    fn body(&self, signal: Signal, plain: bool) -> Body {
        match (plain, self.record.is_some() || self.seen.is_some()) {
            (true, false) => Body::Count(Counter::new(signal)),
            (false, false) if self.blind => Body::Drop,
            _ => Body::Keep(BytesMut::new()),
        }
    }

    fn feed(&self, body: &mut Body, chunk: &[u8]) {
        self.bytes.fetch_add(chunk.len() as u64, Relaxed);
        match body {
            Body::Count(counter) => counter.feed(chunk),
            Body::Keep(kept) => kept.extend_from_slice(chunk),
            Body::Drop => {}
        }
    }

    /// Do with a request what the mood says; counts it when it is taken.
    async fn take(&self, signal: Signal, body: Body, encoding: &str) -> Verdict {
        let turn = self.requests.fetch_add(1, Relaxed) + 1;
        let mood = *self.mood.borrow();
        let refusal = match mood {
            Mood::Stall | Mood::Down => std::future::pending().await,
            Mood::Unavailable => Some(Verdict::TryAgain(None)),
            Mood::RetryAfter(delay) => Some(Verdict::TryAgain(Some(delay))),
            Mood::Reject => Some(Verdict::Never),
            Mood::Forget => return Verdict::Taken,
            Mood::Slow(delay) => {
                tokio::time::sleep(delay).await;
                None
            }
            Mood::Ok | Mood::Mute | Mood::Reset => None,
        };
        let is_unlucky = self.fail_every > 0 && turn.is_multiple_of(self.fail_every);
        if let Some(verdict) = refusal.or(is_unlucky.then_some(Verdict::TryAgain(None))) {
            self.refused.fetch_add(1, Relaxed);
            return verdict;
        }
        let items = match body {
            Body::Drop => Some(0),
            Body::Count(counter) => counter.items(),
            Body::Keep(kept) => inflate(&kept, encoding).ok().and_then(|message| {
                let mut counter = Counter::new(signal);
                counter.feed(&message);
                self.write(signal, &message).ok()?;
                self.note(signal, &message)?;
                counter.items()
            }),
        };
        let Some(items) = items else {
            self.malformed.fetch_add(1, Relaxed);
            return Verdict::Never;
        };
        self.items[signal as usize].fetch_add(items, Relaxed);
        if mood == Mood::Mute {
            self.unanswered.fetch_add(1, Relaxed);
            std::future::pending::<()>().await;
        }
        Verdict::Taken
    }

    fn note(&self, signal: Signal, message: &[u8]) -> Option<()> {
        match (&self.seen, signal) {
            (Some(seen), Signal::Traces) => lock(seen).take(message).map(drop),
            _ => Some(()),
        }
    }

    fn write(&self, signal: Signal, message: &[u8]) -> std::io::Result<()> {
        let Some(file) = &self.record else {
            return Ok(());
        };
        let mut entry = vec![b"tml"[signal as usize]];
        entry.extend((message.len() as u32).to_be_bytes());
        entry.extend_from_slice(message);
        lock(file).write_all(&entry)
    }

    async fn grpc(
        self: Arc<Self>,
        request: http::Request<h2::RecvStream>,
        mut answer: h2::server::SendResponse<Bytes>,
    ) -> Result<(), Error> {
        let signal = Signal::of(request.uri().path());
        let encoding = header(request.headers(), "grpc-encoding");
        let mut stream = request.into_body();
        let mut prefix = Vec::with_capacity(5);
        let mut body = Body::Drop;
        while let Some(chunk) = stream.data().await {
            let chunk = chunk?;
            stream.flow_control().release_capacity(chunk.len())?;
            let missing = (5 - prefix.len()).min(chunk.len());
            if missing > 0 {
                prefix.extend_from_slice(&chunk[..missing]);
                if let (5, Some(signal)) = (prefix.len(), signal) {
                    body = self.body(signal, prefix[0] == 0);
                }
            }
            self.feed(&mut body, &chunk[missing..]);
        }
        let compressed = prefix.first() == Some(&1);
        let verdict = match signal {
            None => Verdict::Never,
            Some(signal) => {
                let encoding = if compressed { encoding.as_str() } else { "" };
                let gone = std::future::poll_fn(|context| answer.poll_reset(context));
                tokio::select! {
                    verdict = self.take(signal, body, encoding) => verdict,
                    _ = gone => return Ok(()),
                }
            }
        };
        let answered = answer_grpc(&mut answer, &verdict);
        if answered.is_err() && matches!(verdict, Verdict::Taken) {
            self.unanswered.fetch_add(1, Relaxed);
        }
        Ok(answered?)
    }

    async fn http(
        self: Arc<Self>,
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, Error> {
        let Some(signal) = Signal::of(request.uri().path()) else {
            return Ok(http::Response::new(Full::new(self.stats().into())));
        };
        let encoding = header(request.headers(), "content-encoding");
        let mut body = self.body(signal, encoding.is_empty());
        let mut stream = request.into_body();
        while let Some(part) = stream.frame().await {
            if let Some(chunk) = part?.data_ref() {
                self.feed(&mut body, chunk);
            }
        }
        let mut head = http::Response::builder().header("content-type", "application/x-protobuf");
        head = match self.take(signal, body, &encoding).await {
            Verdict::Taken => head.status(200),
            Verdict::Never => head.status(400),
            Verdict::TryAgain(None) => head.status(503),
            Verdict::TryAgain(Some(delay)) => {
                head.status(503).header("retry-after", delay.as_secs())
            }
        };
        Ok(head.body(Full::default())?)
    }

    async fn control(
        self: Arc<Self>,
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, Error> {
        let text = match (request.method().as_str(), request.uri().path()) {
            ("POST", "/mood") => {
                let body = request.into_body().collect().await?.to_bytes();
                let mood = str::from_utf8(&body).ok().and_then(Mood::parse);
                let Some(mood) = mood else {
                    return Ok(http::Response::builder().status(400).body(Full::default())?);
                };
                self.mood.send_replace(mood);
                "{}".into()
            }
            (_, path @ ("/seen" | "/counts")) => match &self.seen {
                Some(seen) => lock(seen).json(path == "/seen"),
                None => "{}".into(),
            },
            _ => self.stats(),
        };
        Ok(http::Response::new(Full::new(text.into())))
    }
}

fn answer_grpc(
    answer: &mut h2::server::SendResponse<Bytes>,
    verdict: &Verdict,
) -> Result<(), h2::Error> {
    let mut head = http::Response::new(());
    head.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    let mut trailers = http::HeaderMap::new();
    let status = match verdict {
        Verdict::Taken => 0_u16,
        Verdict::TryAgain(delay) => {
            if let Some(delay) = delay {
                trailers.insert("grpc-status-details-bin", retry_info(*delay));
            }
            14
        }
        Verdict::Never => 3,
    };
    trailers.insert("grpc-status", status.into());
    let mut out = answer.send_response(head, false)?;
    if status == 0 {
        out.send_data(Bytes::from_static(&[0; 5]), false)?;
    }
    out.send_trailers(trailers)
}

/// `google.rpc.Status` with a `RetryInfo`, as `-bin` headers want it.
fn retry_info(delay: Duration) -> http::HeaderValue {
    let seconds = delay.as_secs().min(127) as u8;
    let mut status = b"\x08\x0e\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo".to_vec();
    status.extend([0x12, 4, 0x0a, 2, 0x08, seconds]);
    let text = client::base64(&status);
    http::HeaderValue::from_str(&text).unwrap_or_else(|_| http::HeaderValue::from_static(""))
}

fn header(headers: &http::HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn inflate(data: &[u8], encoding: &str) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match encoding {
        "" | "identity" => out.extend_from_slice(data),
        "gzip" => _ = flate2::read::MultiGzDecoder::new(data).read_to_end(&mut out)?,
        "deflate" | "zlib" => _ = flate2::read::ZlibDecoder::new(data).read_to_end(&mut out)?,
        "zstd" => _ = zstd::Decoder::new(data)?.read_to_end(&mut out)?,
        _ => return Err(std::io::ErrorKind::Unsupported.into()),
    }
    Ok(out)
}

async fn serve_grpc(sink: Arc<Sink>, tcp: TcpStream) {
    let connection = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .handshake(tcp);
    let Ok(mut connection) = connection.await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        tokio::spawn(sink.clone().grpc(request, answer));
    }
}

async fn serve_http<F>(tcp: TcpStream, answer: impl Fn(http::Request<hyper::body::Incoming>) -> F)
where
    F: Future<Output = Result<http::Response<Full<Bytes>>, Error>>,
{
    let service = hyper::service::service_fn(answer);
    let io = hyper_util::rt::TokioIo::new(tcp);
    // A client that goes away in the middle is its own business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

const OPTIONS: &[&str] =
    &["grpc", "http", "control", "mood", "fail-every", "record", "blind", "check", "seen"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    keep_memory();
    let args = Args::parse(OPTIONS);
    let loopback = || fail("an address is wanted, as 127.0.0.1:0");
    let address = |name| -> SocketAddr {
        args.text(name).unwrap_or("127.0.0.1:0").parse().unwrap_or_else(|_| loopback())
    };
    let record = args.text("record").map(|path| {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        Mutex::new(file.unwrap_or_else(|error| fail(&format!("--record {path}: {error}"))))
    });
    let kept = args.text("seen").map(|path| {
        Seen::open(path).unwrap_or_else(|error| fail(&format!("--seen {path}: {error}")))
    });
    let is_checking = args.text("check") == Some("yes");
    let mood = args.text("mood").unwrap_or("ok");
    let mood = Mood::parse(mood).unwrap_or_else(|| fail(&format!("--mood {mood} is none")));
    let (mood, moods) = watch::channel(mood);
    let sink = Arc::new(Sink {
        requests: AtomicU64::default(),
        refused: AtomicU64::default(),
        malformed: AtomicU64::default(),
        unanswered: AtomicU64::default(),
        bytes: AtomicU64::default(),
        items: Default::default(),
        mood,
        seen: kept.or(is_checking.then(Seen::default)).map(Mutex::new),
        fail_every: args.get("fail-every", 0),
        blind: args.text("blind") == Some("yes"),
        record,
    });
    let grpc = TcpListener::bind(address("grpc")).await?;
    let http = TcpListener::bind(address("http")).await?;
    let control = TcpListener::bind(address("control")).await?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    println!(
        "{{\"grpc\": {}, \"http\": {}, \"control\": {}}}",
        port(&grpc)?,
        port(&http)?,
        port(&control)?
    );
    let (one, two, three) = (sink.clone(), sink.clone(), sink.clone());
    let always = watch::channel(Mood::Ok);
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = listen(grpc, moods.clone(), |tcp| serve_grpc(one.clone(), tcp)) => result?,
        result = listen(http, moods, |tcp| {
            let sink = two.clone();
            serve_http(tcp, move |request| sink.clone().http(request))
        }) => result?,
        result = listen(control, always.1, |tcp| {
            let sink = three.clone();
            serve_http(tcp, move |request| sink.clone().control(request))
        }) => result?,
        _ = stop.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    println!("{}", sink.stats());
    Ok(())
}
