//! Sockets as the numbers that Python has of them, and options that not every system has.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// What Python's `fileno` returns: a descriptor, or a handle of Windows' sockets; -1 when closed.
#[cfg(unix)]
pub type Number = std::os::fd::RawFd;
#[cfg(windows)]
pub type Number = i64;

#[cfg(unix)]
pub fn number(socket: &impl std::os::fd::AsRawFd) -> Number {
    socket.as_raw_fd()
}

#[cfg(windows)]
pub fn number(socket: &impl std::os::windows::io::AsRawSocket) -> Number {
    socket.as_raw_socket().cast_signed()
}

/// The number of a socket that the caller of this closes.
#[cfg(unix)]
pub fn into_number(socket: Socket) -> Number {
    std::os::fd::IntoRawFd::into_raw_fd(socket)
}

#[cfg(windows)]
pub fn into_number(socket: Socket) -> Number {
    std::os::windows::io::IntoRawSocket::into_raw_socket(socket).cast_signed()
}

/// A copy of the socket of a number.
///
/// # Safety
/// It is open, and stays so during this call.
#[cfg(unix)]
pub unsafe fn copy(number: Number) -> io::Result<Socket> {
    // SAFETY: the caller promises that it is open, so it is not -1 either.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    SockRef::from(&borrowed).try_clone()
}

#[cfg(windows)]
/// # Safety
/// It is open, and stays so during this call.
pub unsafe fn copy(number: Number) -> io::Result<Socket> {
    use std::os::windows::io::BorrowedSocket;
    // SAFETY: the caller promises that it is open, so it is not -1 either.
    let borrowed = unsafe { BorrowedSocket::borrow_raw(number.cast_unsigned()) };
    SockRef::from(&borrowed).try_clone()
}

/// How long sent bytes may stay without an answer of the other machine; only Linux is told, others
/// keep their own time.
pub fn set_unanswered(socket: &SockRef<'_>, most: Option<Duration>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(most)?;
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, most);
    Ok(())
}

/// Listen on all addresses, both families on one socket.
pub fn listen_everywhere(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    if cfg!(unix) {
        return TcpListener::bind(address);
    }
    // Windows keeps IPv4 away from a socket of IPv6 unless told.
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}
