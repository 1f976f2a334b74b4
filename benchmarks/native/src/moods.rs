//! How a sink behaves, and listeners that go away and come back.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a sink does with requests from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Ok,
    /// Read, take nothing, never answer.
    Stall,
    /// Take, never answer.
    Mute,
    /// Say that it was taken, and forget it: a backend that lies.
    Forget,
    /// Take and answer after so long.
    Slow(Duration),
    /// Take nothing, say "try again".
    Unavailable,
    /// The same with a delay.
    RetryAfter(Duration),
    /// Take nothing, say "never again".
    Reject,
    /// No listener, no connection.
    Down,
    /// Every connection there is is reset, once; otherwise `Ok`.
    Reset,
}

impl Mood {
    /// `ok`, `stall`, `mute`, `forget`, `slow MILLISECONDS`, `unavailable`, `retry_after SECONDS`,
    /// `reject`, `down` or `reset`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (name, number) = (words.next()?, words.next().map(str::parse::<u64>));
        let number = number.transpose().ok()?;
        Some(match (name, number) {
            ("ok", None) => Self::Ok,
            ("stall", None) => Self::Stall,
            ("mute", None) => Self::Mute,
            ("forget", None) => Self::Forget,
            ("slow", Some(millis)) => Self::Slow(Duration::from_millis(millis)),
            ("unavailable", None) => Self::Unavailable,
            ("retry_after", Some(seconds)) => Self::RetryAfter(Duration::from_secs(seconds)),
            ("reject", None) => Self::Reject,
            ("down", None) => Self::Down,
            ("reset", None) => Self::Reset,
            _ => return None,
        })
    }
}

/// Serve a port whenever the mood is not `Down`; `serve` has one connection for as long as it may.
pub async fn listen<F: Future<Output = ()> + Send + 'static>(
    first: TcpListener,
    mut moods: watch::Receiver<Mood>,
    serve: impl Fn(TcpStream) -> F,
) -> std::io::Result<()> {
    let address = first.local_addr()?;
    let mut listener = Some(first);
    loop {
        if *moods.borrow_and_update() == Mood::Down {
            listener = None;
        } else if listener.is_none() {
            listener = Some(bind(address).await?);
        }
        let Some(open) = &listener else {
            moods.changed().await.map_err(std::io::Error::other)?;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                let tcp = accepted?.0;
                tcp.set_nodelay(true)?;
                let end = end(moods.clone(), tcp.as_raw_fd());
                let serving = serve(tcp);
                tokio::spawn(async move {
                    tokio::pin!(serving);
                    tokio::select! {
                        () = &mut serving => {}
                        () = end => {}
                    }
                });
            }
            changed = moods.changed() => changed.map_err(std::io::Error::other)?,
        }
    }
}

/// Connections that go may leave the port in use for a moment.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Err(_) if tries < 100 => tries += 1,
            result => return result,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Return when the mood ends this connection.
async fn end(mut moods: watch::Receiver<Mood>, socket: std::os::fd::RawFd) {
    moods.mark_unchanged();
    loop {
        if moods.changed().await.is_err() {
            return std::future::pending().await;
        }
        match *moods.borrow_and_update() {
            Mood::Reset => {
                let linger = libc::linger { l_onoff: 1, l_linger: 0 };
                let size = std::mem::size_of_val(&linger) as libc::socklen_t;
                // SAFETY: `linger` lives through the call and has the size that is said. The
                // descriptor is open: its owner is dropped after this future, in the same task.
                unsafe {
                    let place = (&raw const linger).cast();
                    libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_LINGER, place, size);
                }
                return;
            }
            Mood::Down => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moods_are_words() {
        assert_eq!(Mood::parse("slow 250"), Some(Mood::Slow(Duration::from_millis(250))));
        assert_eq!(Mood::parse("retry_after 3"), Some(Mood::RetryAfter(Duration::from_secs(3))));
        for text in ["", "slow", "slow x", "ok 1", "grumpy"] {
            assert_eq!(Mood::parse(text), None, "{text}");
        }
    }
}
