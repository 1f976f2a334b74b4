//! The floor: take requests and pass them on, as bytes, with nothing in between.
//!
//! `relay --to 127.0.0.1:4317 [--protocol grpc|http] [--listen 127.0.0.1:0] [--threads 1]` prints its
//! port as one line of JSON. Over gRPC it is tonic with a codec that leaves bytes alone, over HTTP
//! it is hyper.

use bytes::{Buf, BufMut, Bytes};
use heliograph_bench::args::{Args, fail};
use heliograph_bench::*;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Full};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

/// Both halves of a codec whose messages are their own encoding.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, data: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(data.copy_to_bytes(data.remaining())))
    }
}

type Reply<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The trace service of the relay.
#[derive(Clone)]
struct Relay(Channel);

impl tonic::server::NamedService for Relay {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl tonic::server::UnaryService<Bytes> for Relay {
    type Response = Bytes;
    type Future = Reply<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        Box::pin(async move {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(GRPC_TRACES);
            client.unary(Request::new(request.into_inner()), path, Raw).await
        })
    }
}

impl tower::Service<http::Request<tonic::body::Body>> for Relay {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Reply<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).unary(service, request).await) })
    }
}

async fn relay_grpc(to: String, listener: TcpListener) -> Result<(), Error> {
    let channel = Endpoint::from_shared(format!("http://{to}"))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true)
        .connect_lazy();
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .add_service(Relay(channel))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

type Http = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

/// Idle connections to the other side.
struct Pool {
    to: String,
    idle: Mutex<Vec<Http>>,
}

impl Pool {
    async fn take(&self) -> Result<Http, Error> {
        if let Some(sender) = self.idle.lock().await.pop() {
            return Ok(sender);
        }
        let tcp = tokio::net::TcpStream::connect(&self.to).await?;
        tcp.set_nodelay(true)?;
        let io = hyper_util::rt::TokioIo::new(tcp);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn pass(
        self: Arc<Self>,
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, Error> {
        let path = request.uri().clone();
        let body = request.into_body().collect().await?.to_bytes();
        let onward = http::Request::post(path)
            .header("host", &self.to)
            .header("content-type", "application/x-protobuf")
            .body(Full::new(body))?;
        let mut sender = self.take().await?;
        sender.ready().await?;
        let (head, body) = sender.send_request(onward).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.idle.lock().await.push(sender);
        Ok(http::Response::builder().status(head.status).body(Full::new(body))?)
    }
}

async fn relay_http(to: String, listener: TcpListener) -> Result<(), Error> {
    let pool = Arc::new(Pool { to, idle: Mutex::default() });
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let pool = pool.clone();
        let service = hyper::service::service_fn(move |request| pool.clone().pass(request));
        let io = hyper_util::rt::TokioIo::new(tcp);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

fn main() -> Result<(), Error> {
    let args = Args::parse(&["to", "protocol", "listen", "threads"]);
    let to = args.text("to").unwrap_or_else(|| fail("--to is needed")).to_owned();
    let grpc = args.text("protocol").unwrap_or("grpc") == "grpc";
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.get("threads", 1))
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.text("listen").unwrap_or("127.0.0.1:0")).await?;
        println!("{{\"port\": {}}}", listener.local_addr()?.port());
        let relay = async move {
            if grpc { relay_grpc(to, listener).await } else { relay_http(to, listener).await }
        };
        // As a task, so that it runs on the workers and not on this thread.
        tokio::spawn(relay).await?
    })
}
