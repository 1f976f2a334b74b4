//! Take OTLP over gRPC and HTTP, count it and forget it, or misbehave on request.
//!
//! `sink [--grpc 127.0.0.1:0] [--http 127.0.0.1:0] [--delay-ms 0] [--fail-every N] [--record FILE]
//! [--blind yes]` prints its ports as one line of JSON, answers `GET /stats` on the HTTP port, and
//! prints the same when it ends. `--fail-every` refuses each N-th request with UNAVAILABLE or 503.
//! `--record` appends each request before it is acknowledged: one byte of signal (t, m or l), four
//! of length (big-endian), the protobuf message. Compressed requests are inflated to be counted
//! unless `--blind yes`, which counts requests and bytes only.

use bytes::{Bytes, BytesMut};
use heliograph_bench::args::{Args, fail};
use heliograph_bench::scan::{Counter, Signal};
use heliograph_bench::*;
use http_body_util::{BodyExt, Full};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

#[derive(Default)]
struct Sink {
    requests: AtomicU64,
    refused: AtomicU64,
    malformed: AtomicU64,
    bytes: AtomicU64,
    items: [AtomicU64; 3],
    delay: Duration,
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

impl Sink {
    fn stats(&self) -> String {
        let [spans, points, records] = &self.items;
        format!(
            "{{\"requests\": {}, \"refused\": {}, \"malformed\": {}, \"bytes\": {}, \"spans\": {}, \
             \"points\": {}, \"records\": {}}}",
            self.requests.load(Relaxed),
            self.refused.load(Relaxed),
            self.malformed.load(Relaxed),
            self.bytes.load(Relaxed),
            spans.load(Relaxed),
            points.load(Relaxed),
            records.load(Relaxed),
        )
    }

    fn body(&self, signal: Signal, plain: bool) -> Body {
        match (plain, self.record.is_some()) {
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

    /// Whether the request is taken; counts it when it is.
    async fn take(&self, signal: Signal, body: Body, encoding: &str) -> bool {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let turn = self.requests.fetch_add(1, Relaxed) + 1;
        if self.fail_every > 0 && turn.is_multiple_of(self.fail_every) {
            self.refused.fetch_add(1, Relaxed);
            return false;
        }
        let items = match body {
            Body::Drop => Some(0),
            Body::Count(counter) => counter.items(),
            Body::Keep(kept) => inflate(&kept, encoding).ok().and_then(|message| {
                let mut counter = Counter::new(signal);
                counter.feed(&message);
                self.write(signal, &message).ok().and(counter.items())
            }),
        };
        match items {
            Some(items) => self.items[signal as usize].fetch_add(items, Relaxed),
            None => self.malformed.fetch_add(1, Relaxed),
        };
        items.is_some()
    }

    fn write(&self, signal: Signal, message: &[u8]) -> std::io::Result<()> {
        let Some(file) = &self.record else {
            return Ok(());
        };
        let mut entry = vec![b"tml"[signal as usize]];
        entry.extend((message.len() as u32).to_be_bytes());
        entry.extend_from_slice(message);
        file.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).write_all(&entry)
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
        let status = match signal {
            None => "12",
            Some(signal) => {
                let encoding = if compressed { encoding.as_str() } else { "" };
                if self.take(signal, body, encoding).await { "0" } else { "14" }
            }
        };
        let head = http::Response::builder().header("content-type", "application/grpc").body(())?;
        let mut out = answer.send_response(head, false)?;
        if status == "0" {
            out.send_data(Bytes::from_static(&[0; 5]), false)?;
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static(status));
        out.send_trailers(trailers)?;
        Ok(())
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
        let status = if self.take(signal, body, &encoding).await { 200 } else { 503 };
        let head = http::Response::builder().status(status);
        Ok(head.header("content-type", "application/x-protobuf").body(Full::default())?)
    }
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

async fn serve_grpc(sink: Arc<Sink>, listener: TcpListener) -> Result<(), Error> {
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let sink = sink.clone();
        tokio::spawn(async move {
            let mut connection = h2::server::Builder::new()
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(MAX_FRAME)
                .max_concurrent_streams(MAX_STREAMS)
                .handshake(tcp)
                .await?;
            while let Some(stream) = connection.accept().await {
                let (request, answer) = stream?;
                tokio::spawn(sink.clone().grpc(request, answer));
            }
            Ok::<(), Error>(())
        });
    }
}

async fn serve_http(sink: Arc<Sink>, listener: TcpListener) -> Result<(), Error> {
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let sink = sink.clone();
        let service = hyper::service::service_fn(move |request| sink.clone().http(request));
        let io = hyper_util::rt::TokioIo::new(tcp);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    keep_memory();
    let args = Args::parse(&["grpc", "http", "delay-ms", "fail-every", "record", "blind"]);
    let loopback = || fail("an address is wanted, as 127.0.0.1:0");
    let address = |name| -> SocketAddr {
        args.text(name).unwrap_or("127.0.0.1:0").parse().unwrap_or_else(|_| loopback())
    };
    let record = args.text("record").map(|path| {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        Mutex::new(file.unwrap_or_else(|error| fail(&format!("--record {path}: {error}"))))
    });
    let sink = Arc::new(Sink {
        delay: Duration::from_millis(args.get("delay-ms", 0)),
        fail_every: args.get("fail-every", 0),
        blind: args.text("blind") == Some("yes"),
        record,
        ..Sink::default()
    });
    let grpc = TcpListener::bind(address("grpc")).await?;
    let http = TcpListener::bind(address("http")).await?;
    let (grpc_port, http_port) = (grpc.local_addr()?.port(), http.local_addr()?.port());
    println!("{{\"grpc\": {grpc_port}, \"http\": {http_port}}}");
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = serve_grpc(sink.clone(), grpc) => result?,
        result = serve_http(sink.clone(), http) => result?,
        _ = stop.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    println!("{}", sink.stats());
    Ok(())
}
