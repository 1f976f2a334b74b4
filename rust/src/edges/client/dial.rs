//! One connection to one address: TCP or Unix socket, through a proxy, under TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::proxy::{Proxies, Proxy};
use super::resolve::{Address, Resolver, join, plain};
use super::tls::{ClientSettings, ClientTls, explain};
use crate::platform::local;
use crate::platform::socket::set_unanswered;

/// An address that does not answer must not keep the others from being tried.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(5);

/// A connection, whatever it is made of.
pub enum Stream {
    Tcp(TcpStream),
    Unix(local::Stream),
    Tls(Box<TlsStream<Stream>>),
}

impl Stream {
    /// Whether both sides agreed on HTTP/2 in the handshake.
    pub fn is_h2(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

/// Opens connections.
pub struct Dialer {
    pub resolver: Resolver,
    pub proxies: Proxies,
    pub tls: Option<ClientTls>,
    /// For each address, from the name to the end of the handshake.
    pub timeout: Duration,
    /// How long sent bytes may stay without an answer of the other machine; the system's when not
    /// given, or when it cannot be told.
    pub unanswered: Option<Duration>,
    /// Counts connections to names.
    pub next: AtomicUsize,
}

impl Dialer {
    /// Connect to an address; `host` is whom the certificate must name.
    pub async fn connect(&self, address: &Address, host: &str) -> Result<Stream, String> {
        let open = async {
            let stream = match address {
                Address::Ip(address) => self.tcp(address).await?,
                Address::Unix(path) => {
                    local::connect(path).await.map(Stream::Unix).map_err(|error| plain(&error))?
                }
                Address::Named { host, port } => {
                    // gRPC without TLS needs a tunnel too, so it goes where tunnels go.
                    match self.proxies.find(true, host, *port) {
                        Some(proxy) => self.tunnel(&proxy, &join(host, *port)).await?,
                        None => self.any(host, *port).await?,
                    }
                }
            };
            match &self.tls {
                Some(tls) => encrypt(stream, tls, host).await,
                None => Ok(stream),
            }
        };
        self.within_timeout(open).await
    }

    /// Connect to a host without TLS and without a proxy.
    pub async fn bare(&self, host: &str, port: u16) -> Result<Stream, String> {
        self.within_timeout(self.any(host, port)).await
    }

    /// Connect to a proxy without asking it for a tunnel.
    pub async fn to_proxy(&self, proxy: &Proxy) -> Result<Stream, String> {
        let open = async {
            let prefix = |error| format!("proxy {}: {error}", proxy.host);
            let stream = self.any(&proxy.host, proxy.port).await.map_err(prefix)?;
            if !proxy.tls {
                return Ok(stream);
            }
            let tls = ClientTls::new(ClientSettings::default(), &[])
                .map_err(|wrong| prefix(wrong.message))?;
            encrypt(stream, &tls, &proxy.host).await.map_err(prefix)
        };
        self.within_timeout(open).await
    }

    async fn within_timeout(
        &self,
        open: impl Future<Output = Result<Stream, String>>,
    ) -> Result<Stream, String> {
        match tokio::time::timeout(self.timeout, open).await {
            Ok(result) => result,
            Err(_) => Err(format!("no connection within {:?}", self.timeout)),
        }
    }

    async fn tunnel(&self, proxy: &Proxy, authority: &str) -> Result<Stream, String> {
        let mut stream = self.to_proxy(proxy).await?;
        proxy.connect(&mut stream, authority).await?;
        Ok(stream)
    }

    /// Connect to an address of a name that answers; each time another one comes first, so that
    /// the connections of a pool spread over all.
    async fn any(&self, host: &str, port: u16) -> Result<Stream, String> {
        let mut addresses = self.resolver.look_up(host, port).await?;
        let first = self.next.fetch_add(1, Relaxed) % addresses.len();
        addresses.rotate_left(first);
        let mut failure = String::new();
        for address in addresses {
            match tokio::time::timeout(ONE_OF_SEVERAL, self.tcp(&address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = format!("no connection within {ONE_OF_SEVERAL:?}"),
            }
        }
        Err(failure)
    }

    async fn tcp(&self, address: &std::net::SocketAddr) -> Result<Stream, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| plain(&error))?;
        stream.set_nodelay(true).map_err(|error| plain(&error))?;
        let socket = SockRef::from(&stream);
        socket.set_keepalive(true).map_err(|error| plain(&error))?;
        set_unanswered(&socket, self.unanswered).map_err(|error| plain(&error))?;
        Ok(Stream::Tcp(stream))
    }
}

async fn encrypt(stream: Stream, tls: &ClientTls, host: &str) -> Result<Stream, String> {
    let name = tls.server_name(host)?;
    let connector = TlsConnector::from(Arc::clone(&tls.config()));
    let stream = connector.connect(name, stream).await.map_err(|error| explain(&error))?;
    Ok(Stream::Tls(Box::new(stream)))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
