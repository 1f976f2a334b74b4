//! Unix-domain sockets; where there are none, an error says so.

#[cfg(unix)]
pub use unix::{Listener, Stream, adopt, bind, connect};
#[cfg(not(unix))]
pub use without::{Listener, Stream, adopt, bind, connect};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net;
    use std::path::Path;

    use socket2::Socket;
    pub use tokio::net::{UnixListener as Listener, UnixStream as Stream};

    pub async fn connect(path: &Path) -> io::Result<Stream> {
        Stream::connect(path).await
    }

    /// Listen on a path. A socket that nobody serves any more makes way; anything else is not ours.
    pub fn bind(path: &Path) -> io::Result<Listener> {
        let is_socket = path.metadata().is_ok_and(|found| found.file_type().is_socket());
        if is_socket && net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        Listener::bind(path)
    }

    /// Use a socket that listens, and say its path; it comes back when it is of another family.
    pub fn adopt(socket: Socket) -> io::Result<Result<(Listener, String), Socket>> {
        let listener = net::UnixListener::from(OwnedFd::from(socket));
        // Only a Unix socket has an address of this kind.
        let Ok(address) = listener.local_addr() else {
            return Ok(Err(OwnedFd::from(listener).into()));
        };
        listener.set_nonblocking(true)?;
        let path = address.as_pathname().unwrap_or("@".as_ref()).display().to_string();
        Ok(Ok((Listener::from_std(listener)?, path)))
    }
}

#[cfg(not(unix))]
mod without {
    use std::io;
    use std::os::windows::io::{AsSocket, BorrowedSocket};
    use std::path::Path;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use socket2::Socket;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    pub enum Stream {}

    pub enum Listener {}

    fn unsupported() -> io::Error {
        let message = "this system has no Unix sockets here; use host:port";
        io::Error::new(io::ErrorKind::Unsupported, message)
    }

    pub async fn connect(_: &Path) -> io::Result<Stream> {
        Err(unsupported())
    }

    pub fn bind(path: &Path) -> io::Result<Listener> {
        let error = unsupported();
        Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    pub fn adopt(socket: Socket) -> io::Result<Result<(Listener, String), Socket>> {
        Ok(Err(socket))
    }

    impl Listener {
        pub async fn accept(&self) -> io::Result<(Stream, ())> {
            match *self {}
        }
    }

    impl AsSocket for Listener {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            match *self {}
        }
    }

    impl AsyncRead for Stream {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match *self {}
        }
    }

    impl AsyncWrite for Stream {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            match *self {}
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            match *self {}
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            match *self {}
        }
    }
}
