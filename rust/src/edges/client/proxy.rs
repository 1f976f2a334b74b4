//! Proxies: which one stands between us and a host, and the CONNECT that opens a way through it.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The answer to CONNECT may be this long.
const ANSWER: usize = 16 * 1024;

/// Which proxies are to be used.
pub struct Proxies {
    matcher: Option<Matcher>,
    /// Written in the configuration: holds for loopback too.
    explicit: bool,
}

/// One proxy.
#[derive(Clone)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// Speaks TLS itself.
    pub tls: bool,
    /// `Proxy-Authorization`.
    pub auth: Option<HeaderValue>,
}

impl Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in either case; never for loopback.
    pub fn from_environment() -> Self {
        let read = |name: &str| {
            [name.to_uppercase(), name.to_lowercase()]
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let (http, https) = (read("http_proxy"), read("https_proxy"));
        if http.is_none() && https.is_none() {
            return Self { matcher: None, explicit: false };
        }
        let matcher = Matcher::builder()
            .http(http.unwrap_or_default())
            .https(https.unwrap_or_default())
            .no(read("no_proxy").unwrap_or_default())
            .build();
        Self { matcher: Some(matcher), explicit: false }
    }

    /// One proxy for everything; the error continues a sentence that begins with its name.
    pub fn explicit(url: &str) -> Result<Self, String> {
        let wrong = || "is not a URL such as http://proxy:3128".to_string();
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(wrong());
        }
        let matcher = Matcher::builder().all(url.to_string()).build();
        Ok(Self { matcher: Some(matcher), explicit: true })
    }

    /// The proxy on the way to this host, if any.
    pub fn find(&self, tls: bool, host: &str, port: u16) -> Option<Proxy> {
        let matcher = self.matcher.as_ref()?;
        if !self.explicit && is_loopback(host) {
            return None;
        }
        let scheme = if tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}", super::resolve::join(host, port)).parse().ok()?;
        Proxy::from_intercept(&matcher.intercept(&uri)?)
    }
}

impl Proxy {
    fn from_intercept(found: &Intercept) -> Option<Self> {
        let tls = match found.uri().scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return None,
        };
        let host = found.uri().host()?.trim_matches(['[', ']']).to_string();
        let port = found.uri().port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { host, port, tls, auth: found.basic_auth().cloned() })
    }

    /// Ask for a way to `authority`; afterwards the stream belongs to the two ends.
    pub async fn connect(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        authority: &str,
    ) -> Result<(), String> {
        let broken = |error: std::io::Error| {
            format!("proxy {}: {}", self.host, super::resolve::plain(&error))
        };
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(auth) = &self.auth {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(auth.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.map_err(broken)?;
        // One byte at a time: what follows the blank line is the other end's, not ours.
        let mut answer = Vec::with_capacity(256);
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == ANSWER {
                return Err(format!("proxy {}: its answer has no end", self.host));
            }
            answer.push(stream.read_u8().await.map_err(broken)?);
        }
        let line =
            String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or(&[]))
                .into_owned();
        let mut words = line.splitn(2, ' ');
        match (words.next(), words.next()) {
            (Some(version), Some(status)) if version.starts_with("HTTP/1.") => {
                if status.starts_with('2') {
                    Ok(())
                } else {
                    Err(format!("proxy {} refuses: {status}", self.host))
                }
            }
            _ => Err(format!("proxy {}: its answer is not HTTP", self.host)),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_proxy_holds_for_everything() {
        let proxies = Proxies::explicit("http://user:pass@proxy:3128").unwrap();
        let proxy = proxies.find(true, "127.0.0.1", 4317).unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.tls), ("proxy", 3128, false));
        assert_eq!(proxy.auth.unwrap(), "Basic dXNlcjpwYXNz");
        assert!(proxies.find(false, "tempo", 80).is_some());
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for url in ["proxy", "socks5://proxy:1080", "http://", ""] {
            assert!(Proxies::explicit(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn connect_reads_exactly_the_answer() {
        let proxies = Proxies::explicit("http://proxy:3128").unwrap();
        let proxy = proxies.find(false, "tempo", 80).unwrap();
        for (answer, result) in [
            ("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nrest", Ok(())),
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                Err("proxy proxy refuses: 407 Proxy Authentication Required".to_string()),
            ),
            ("SSH-2.0-x\r\n\r\n", Err("proxy proxy: its answer is not HTTP".to_string())),
        ] {
            let (mut ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(answer.as_bytes()).await.unwrap();
            assert_eq!(proxy.connect(&mut ours, "tempo:80").await, result);
            let mut sent = vec![0; 45];
            theirs.read_exact(&mut sent).await.unwrap();
            assert!(sent.starts_with(b"CONNECT tempo:80 HTTP/1.1\r\nHost: tempo:80\r\n"));
            if result.is_ok() {
                let mut rest = [0; 4];
                ours.read_exact(&mut rest).await.unwrap();
                assert_eq!(&rest, b"rest");
            }
        }
    }
}
