//! Fuzzing of the server: bodies, frames, and whole connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::body::{BodyError, Incoming, Limits, Reader};
use super::io::{Enforcement, Frames};
use super::{Codings, Cors, Door, Handlers, Keepalive, Outcome, Phase, Phases, Protocol, Settings};
use crate::edges::status::{Code, Status};
use crate::wire::Signal;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longer than anything takes whose other side has hung up.
const PROMPTLY: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bounded = async { tokio::time::timeout(PROMPTLY, future).await };
    runtime.expect("a runtime").block_on(bounded).expect("it ends when there are no more bytes")
}

/// Cut as the first bytes say: each is a length, 0 and what is missing the whole rest.
fn pieces(cuts: &[u8], mut data: &[u8]) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    for cut in cuts {
        let (piece, rest) = data.split_at(usize::from(*cut).min(data.len()));
        pieces.push_back(Bytes::copy_from_slice(piece));
        data = rest;
    }
    pieces.push_back(Bytes::copy_from_slice(data));
    pieces
}

/// What a gRPC body is, however it is cut.
fn message(data: &[u8], limit: usize) -> Result<(bool, &[u8]), &'static str> {
    let Some(([flag, length @ ..], rest)) = data.split_first_chunk::<5>() else {
        return Err("short");
    };
    let length = u32::from_be_bytes(*length) as usize;
    match *flag {
        2.. => Err("flag"),
        _ if length > limit => Err("large"),
        _ if length != rest.len() => Err("length"),
        flag => Ok((flag == 1, rest)),
    }
}

/// A body is read the same however it is cut, and never more than the limit is kept.
pub fn body(input: &[u8]) {
    let Some((steer, data)) = input.split_first_chunk::<8>() else { return };
    let limit = usize::from(steer[0]) * 512;
    let limits = Limits { bytes: limit, patience: MINUTE };
    let source = || Incoming::Pieces(pieces(&steer[2..], data));
    let read = run(async { Reader::new(&mut source(), limits).message().await });
    match (read, message(data, limit)) {
        (Ok((compressed, bytes, reservation)), Ok(expected)) => {
            assert_eq!((compressed, &bytes[..]), expected);
            assert!(reservation.bytes() >= bytes.len() && reservation.bytes() <= limit);
        }
        (Err(BodyError::TooLarge(_)), Err("large")) => {}
        (Err(BodyError::Framing(_)), Err("short" | "flag" | "length")) => {}
        (read, expected) => {
            let read = read.map(|(compressed, bytes, _)| (compressed, bytes));
            panic!("{read:?}, not {expected:?}");
        }
    }
    // Told correctly, told wrongly, or not told.
    let told = match steer[1] % 3 {
        0 => Some(data.len()),
        1 => Some(usize::from(steer[1]) * 16),
        _ => None,
    };
    let read = run(async { Reader::new(&mut source(), limits).whole(told).await });
    let fits = data.len() <= limit && told.is_none_or(|told| told <= limit);
    let true_to_it = told.is_none_or(|told| told == data.len());
    match read {
        Ok((bytes, _)) => {
            // No bytes at all are no bytes, whatever was told.
            assert!(fits && (true_to_it || data.is_empty()));
            assert_eq!(bytes, data);
        }
        Err(BodyError::TooLarge(_)) => assert!(!fits),
        Err(BodyError::Framing(_)) => assert!(!true_to_it),
        Err(error) => panic!("{error:?}"),
    }
}

/// Frame headers are seen the same however the bytes are cut.
pub fn frames(input: &[u8]) {
    let Some((steer, data)) = input.split_first_chunk::<8>() else { return };
    let preface = usize::from(steer[0] % 32);
    let mut expected = Vec::new();
    let mut rest = data.get(preface..).unwrap_or_default();
    while let Some(([a, b, c, kind, flags, ..], after)) = rest.split_first_chunk::<9>() {
        expected.push((*kind, *flags));
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = after.get(length..).unwrap_or_default();
    }
    let mut frames = Frames::new(preface);
    let mut seen = Vec::new();
    for piece in pieces(&steer[1..], data) {
        frames.follow(&piece, |kind, flags| seen.push((kind, flags)));
    }
    assert_eq!(seen, expected);
    assert!(!frames.at_boundary() || rest.is_empty());
}

fn settings(protocol: Protocol, include_metadata: bool) -> Settings {
    Settings {
        protocol,
        signals: vec![Signal::Traces, Signal::Metrics, Signal::Logs],
        paths: vec![
            ("/v1/traces".into(), Signal::Traces),
            ("/v1/metrics".into(), Signal::Metrics),
            ("/v1/logs".into(), Signal::Logs),
        ],
        max_bytes: 64 * 1024,
        max_streams: 8,
        include_metadata,
        codings: Codings(None),
        header_timeout: MINUTE,
        body_timeout: MINUTE,
        write_timeout: MINUTE,
        keep_alives: true,
        keepalive: Keepalive {
            max_idle: Some(MINUTE),
            max_age: None,
            max_age_grace: None,
            time: MINUTE,
            timeout: MINUTE,
            enforcement: Enforcement { min_time: MINUTE, permit_without_stream: false },
        },
        cors: include_metadata.then(|| Cors {
            origins: vec!["https://*.example".into(), "http://a".into()],
            headers: vec!["x-a".into()],
            exposed: vec!["x-b".into()],
            max_age: 5,
        }),
        response_headers: Vec::new(),
        tls: None,
    }
}

fn door(protocol: Protocol, include_metadata: bool, guarded: bool) -> Door {
    let question = |question: super::Question| {
        let known = question.headers.contains_key("authorization");
        let stranger = || Status::new(Code::Unauthenticated, "who are you?");
        let claims = vec![("subject".into(), "a".into())];
        let _ = question.reply.send(if known { Ok(claims) } else { Err(stranger()) });
    };
    let call = |call: super::Call| {
        assert_eq!(crate::wire::scan(call.batch.signal, &call.batch.data), Ok(call.batch.items));
        let outcome = match call.batch.items % 4 {
            1 => Outcome::Ok { rejected: 0, message: String::new() },
            2 => Outcome::Ok { rejected: 1, message: "no\n\"é".into() },
            3 => Outcome::Fail(Status::retry("full\n\"é", Duration::from_millis(1500))),
            // Dropped unanswered.
            _ => return,
        };
        let _ = call.reply.send(outcome);
    };
    let handlers = Handlers {
        call: Box::new(call),
        question: guarded.then(|| Box::new(question) as Box<_>),
        gone: Box::new(|_| {}),
        warn: Box::new(|_| {}),
        load: Arc::default(),
    };
    Door { settings: settings(protocol, include_metadata), handlers, counts: Default::default() }
}

/// A connection ends soon after its bytes, with whole answers, and nothing stays reserved.
pub fn server(input: &[u8]) {
    let Some(([how, cut], data)) = input.split_first_chunk::<2>() else { return };
    let is = |bit: u8| how >> bit & 1 != 0;
    let protocol = if is(0) { Protocol::Grpc } else { Protocol::Http };
    let door = Arc::new(door(protocol, is(2), is(3)));
    let mut bytes = if is(1) { PREFACE.to_vec() } else { Vec::new() };
    bytes.extend_from_slice(data);
    let speaks_h2 = is(0) || bytes.starts_with(b"PRI");
    let answer = run(async {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (_phase, receiver) = watch::channel(Phase::Run);
        let (alive, _ended) = mpsc::channel(1);
        let phases = Phases { receiver, _alive: alive };
        let served =
            tokio::spawn(super::connection(door, Box::new(far), Some("peer".into()), None, phases));
        let (mut reader, mut writer) = tokio::io::split(near);
        let write = async {
            for chunk in bytes.chunks(usize::from(*cut).pow(2) + 1) {
                if writer.write_all(chunk).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            // It may have hung up first.
            let _ = writer.shutdown().await;
        };
        let mut answer = Vec::new();
        let (_, read, served) = tokio::join!(write, reader.read_to_end(&mut answer), served);
        read.expect("memory is a pipe");
        served.expect("a connection does not panic");
        answer
    });
    if speaks_h2 {
        assert_frames(&answer);
    } else {
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."));
    }
    // The tests of this crate run beside each other.
    if cfg!(not(test)) {
        assert_eq!(crate::edges::admission::admission().used(), 0);
    }
}

fn assert_frames(mut answer: &[u8]) {
    while let Some(([a, b, c, kind, ..], rest)) = answer.split_first_chunk::<9>() {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        assert!(*kind <= 9 && length <= 1 << 20);
        answer = rest.get(length..).expect("a frame is whole");
    }
    assert!(answer.is_empty());
}
