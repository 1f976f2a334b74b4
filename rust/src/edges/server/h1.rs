//! An HTTP/1.1 connection.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};

use super::body::Incoming;
use super::io::{Activity, Watched};
use super::{BRIEFLY, Door, Phase, Phases};
use crate::wire::Context;

/// The least time between two looks at the time-outs.
const OFTEN: Duration = Duration::from_millis(20);

/// The body of an answer: there at once.
struct Once(Option<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// Serve a connection until it ends.
pub async fn run(
    door: Arc<Door>,
    io: Watched,
    activity: Arc<Activity>,
    context: Arc<Context>,
    mut phases: Phases,
) {
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
        let (door, context, active) = (door.clone(), context.clone(), activity.request());
        async move {
            let (parts, body) = request.into_parts();
            let mut body = Incoming::H1(body);
            let response =
                super::http::answer(&door, &context, active.out_of_turn, parts, &mut body);
            let response = response.await.response;
            drop(active);
            Ok::<_, Infallible>(
                response.map(|body| Once(Some(body).filter(|body| !body.is_empty()))),
            )
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(door.settings.keep_alives)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let started = Instant::now();
    let mut look = started;
    // Until when the server's stop waits for a request that is on its way.
    let mut leaving = phases.stopping().then(|| started + BRIEFLY);
    loop {
        let now = Instant::now();
        if leaving.is_some_and(|limit| now >= limit || !activity.expected()) {
            leaving = None;
            connection.as_mut().graceful_shutdown();
        }
        let soon = leaving.map_or(look, |_| look.min(now + OFTEN));
        tokio::select! {
            biased;
            // Whether it ended well only the client can care.
            _ended = connection.as_mut() => return,
            phase = phases.next() => match phase {
                Phase::Run => {}
                Phase::Drain => leaving = Some(Instant::now() + BRIEFLY),
                Phase::Kill => return,
            },
            () = sleep_until(soon) => match next_look(&door, &activity, started) {
                Some(next) => look = next,
                None => return,
            },
        }
    }
}

/// When to look at the time-outs again; `None` when one has passed.
fn next_look(door: &Door, activity: &Activity, started: Instant) -> Option<Instant> {
    let settings = &door.settings;
    let now = Instant::now();
    let at = |millis: u64| started + Duration::from_millis(millis);
    let blocked = activity.blocked.load(Relaxed);
    if blocked > 0 && now >= at(blocked) + settings.write_timeout {
        return None;
    }
    let idle = settings.keepalive.max_idle;
    let mut soonest = now + settings.write_timeout.min(settings.header_timeout);
    let limit = match activity.fresh.load(Relaxed) {
        _ if activity.active() => None,
        0 => idle.map(|idle| at(activity.done.load(Relaxed)) + idle),
        fresh => Some(at(fresh) + settings.header_timeout),
    };
    if limit.is_some_and(|limit| now >= limit) {
        return None;
    }
    for next in [limit, idle.map(|idle| now + idle)].into_iter().flatten() {
        soonest = soonest.min(next);
    }
    Some(soonest.max(now + OFTEN))
}
