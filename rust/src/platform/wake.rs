//! A descriptor that another thread makes readable: an eventfd on Linux, elsewhere two sockets that
//! are connected to each other.

use std::io;

use super::socket::Number;

pub struct Wake(imp::Wake);

impl Wake {
    pub fn new() -> io::Result<Self> {
        imp::Wake::new().map(Self)
    }

    /// What a selector waits for.
    pub fn number(&self) -> Number {
        self.0.number()
    }

    /// Make it readable; never blocks.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// Make it unreadable, if it is readable; never blocks.
    pub fn clear(&self) {
        self.0.clear();
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

    pub struct Wake(OwnedFd);

    impl Wake {
        pub fn new() -> io::Result<Self> {
            // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: fd is a fresh descriptor that nothing else owns.
            Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
        }

        pub fn number(&self) -> RawFd {
            self.0.as_raw_fd()
        }

        pub fn wake(&self) {
            // SAFETY: it takes no pointers.
            unsafe { libc::eventfd_write(self.0.as_raw_fd(), 1) };
        }

        pub fn clear(&self) {
            let mut counter = 0;
            // SAFETY: counter outlives the call.
            unsafe { libc::eventfd_read(self.0.as_raw_fd(), &mut counter) };
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod pair {
    use std::io::{self, Read, Write};
    #[cfg(not(unix))]
    use std::net::TcpStream as Stream;
    #[cfg(unix)]
    use std::os::unix::net::UnixStream as Stream;

    use crate::platform::socket::{Number, number};

    pub struct Wake {
        reader: Stream,
        writer: Stream,
    }

    impl Wake {
        pub fn new() -> io::Result<Self> {
            let (reader, writer) = pair()?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Self { reader, writer })
        }

        pub fn number(&self) -> Number {
            number(&self.reader)
        }

        pub fn wake(&self) {
            // One that is full is readable already.
            let _ = (&self.writer).write(&[1]);
        }

        pub fn clear(&self) {
            // What is left after these makes it readable once more, and is read then.
            let _ = (&self.reader).read(&mut [0; 64]);
        }
    }

    #[cfg(unix)]
    fn pair() -> io::Result<(Stream, Stream)> {
        Stream::pair()
    }

    #[cfg(not(unix))]
    fn pair() -> io::Result<(Stream, Stream)> {
        use std::net::{Ipv4Addr, TcpListener};

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let writer = Stream::connect(listener.local_addr()?)?;
        writer.set_nodelay(true)?;
        let ours = writer.local_addr()?;
        loop {
            // Any process of this machine may have connected in between.
            let (reader, peer) = listener.accept()?;
            if peer == ours {
                return Ok((reader, writer));
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
use pair as imp;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_sockets_can_be_woken_often_and_cleared() {
        let wake = pair::Wake::new().unwrap();
        wake.clear();
        (0..100_000).for_each(|_| wake.wake());
        (0..100_000).for_each(|_| wake.clear());
        assert!(wake.number() >= 0);
    }
}
