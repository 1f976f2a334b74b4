//! Where a client connects to: endpoints as gRPC writes them, and the addresses behind a name.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All addresses of a name.
    Dns { host: String, port: u16 },
    /// A name that only the dialer looks at, one connection whatever is behind it.
    Passthrough { host: String, port: u16 },
    /// A path; abstract sockets begin with a zero byte.
    Unix(PathBuf),
}

/// Where one connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ip(SocketAddr),
    /// A name for a proxy, or for the system to look up at each connection.
    Named {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Named { host, port } => f.write_str(&join(host, *port)),
            Self::Unix(path) => write!(f, "unix:{}", path.display().to_string().replace('\0', "@")),
        }
    }
}

/// A gRPC endpoint: `host:4317`, `http://…`, `https://…`, `dns:///…`, `passthrough:///…`,
/// `unix:///path`, `unix-abstract:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub target: Target,
    /// What `:authority` says unless configured.
    pub authority: String,
    /// What a scheme says about TLS; nothing without a scheme.
    pub tls: Option<bool>,
}

impl Endpoint {
    /// Read an endpoint; the error continues a sentence that begins with its name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write host:port".into());
        }
        if let Some(name) = text.strip_prefix("unix-abstract:") {
            return Ok(Self::unix(PathBuf::from(format!("\0{name}"))));
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if rest.starts_with("//") && !path.starts_with('/') {
                return Err(format!("is '{text}'; an absolute path is written unix:///path"));
            }
            return Ok(Self::unix(PathBuf::from(path)));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (rest, tls) = match scheme {
            "" => (rest.strip_prefix("dns:").unwrap_or(rest), None),
            "http" => (rest.trim_end_matches('/'), Some(false)),
            "https" => (rest.trim_end_matches('/'), Some(true)),
            "dns" | "passthrough" => match rest.split_once('/') {
                Some(("", rest)) => (rest, None),
                Some((server, name)) if scheme == "dns" => {
                    return Err(format!(
                        "names the DNS server '{server}', which is not supported; write dns:///{name}"
                    ));
                }
                _ => return Err(format!("is '{text}'; write {scheme}:///host:port")),
            },
            _ => return Err(format!("has the unknown scheme '{scheme}'; write host:port")),
        };
        let (host, port) = split(rest)?;
        let authority = join(&host, port);
        let target = if scheme == "passthrough" {
            Target::Passthrough { host, port }
        } else {
            Target::Dns { host, port }
        };
        Ok(Self { target, authority, tls })
    }

    fn unix(path: PathBuf) -> Self {
        Self { target: Target::Unix(path), authority: "localhost".into(), tls: None }
    }

    /// The name that a certificate has to carry.
    pub fn host(&self) -> &str {
        match &self.target {
            Target::Dns { host, .. } | Target::Passthrough { host, .. } => host,
            Target::Unix(_) => "localhost",
        }
    }
}

/// Split `host:port` or `[v6]:port`.
pub fn split(text: &str) -> Result<(String, u16), String> {
    let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
        return Err(format!("is '{text}', without a port; write {text}:4317"));
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err(format!("is '{text}'; an IPv6 address is written [address]:port"));
    }
    let host = bare.unwrap_or(host);
    if host.is_empty() || host.contains(['/', ' ', '@']) {
        return Err(format!("is '{text}', which names no host"));
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((host.into(), port)),
        _ => Err(format!("has the port '{port}', which is not a number from 1 to 65535")),
    }
}

/// The reverse of `split`.
pub fn join(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// Looks names up; addresses can be pinned in their place.
#[derive(Default)]
pub struct Resolver {
    pinned: Mutex<Option<Vec<SocketAddr>>>,
}

impl Resolver {
    /// Answer every later question with these addresses; `None` asks the system again.
    pub fn pin(&self, addresses: Option<Vec<SocketAddr>>) {
        *self.pinned.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = addresses;
    }

    /// All addresses of a name, in the system's order, each once.
    pub async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let pinned = self.pinned.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let found = match pinned {
            Some(addresses) => addresses,
            None => tokio::net::lookup_host((host, port))
                .await
                .map_err(|error| format!("cannot find {host}: {}", plain(&error)))?
                .collect(),
        };
        let mut addresses = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(format!("cannot find {host}: it has no addresses"));
        }
        Ok(addresses)
    }

    /// Where to connect for a target.
    pub async fn resolve(&self, target: &Target) -> Result<Vec<Address>, String> {
        Ok(match target {
            Target::Dns { host, port } => {
                self.look_up(host, *port).await?.into_iter().map(Address::Ip).collect()
            }
            Target::Passthrough { host, port } => {
                vec![Address::Named { host: host.clone(), port: *port }]
            }
            Target::Unix(path) => vec![Address::Unix(path.clone())],
        })
    }
}

/// What the system says, without its number: "connection refused".
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(host: &str, port: u16) -> Target {
        Target::Dns { host: host.into(), port }
    }

    #[test]
    fn every_form_of_an_endpoint() {
        for (text, target, authority, tls) in [
            ("tempo:4317", dns("tempo", 4317), "tempo:4317", None),
            ("http://tempo:4317", dns("tempo", 4317), "tempo:4317", Some(false)),
            ("https://tempo:4317/", dns("tempo", 4317), "tempo:4317", Some(true)),
            ("dns:///tempo:1", dns("tempo", 1), "tempo:1", None),
            ("dns:tempo:1", dns("tempo", 1), "tempo:1", None),
            ("[::1]:4317", dns("::1", 4317), "[::1]:4317", None),
            (
                "passthrough:///tempo:1",
                Target::Passthrough { host: "tempo".into(), port: 1 },
                "tempo:1",
                None,
            ),
            ("unix:///run/x", Target::Unix("/run/x".into()), "localhost", None),
            ("unix:x", Target::Unix("x".into()), "localhost", None),
            ("unix-abstract:x", Target::Unix("\0x".into()), "localhost", None),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint, Endpoint { target, authority: authority.into(), tls }, "{text}");
        }
    }

    #[test]
    fn wrong_endpoints_say_what_to_write() {
        for (text, says) in [
            ("", "host:port"),
            ("tempo", "tempo:4317"),
            ("tempo:http", "'http'"),
            ("tempo:0", "'0'"),
            ("tempo:65536", "'65536'"),
            ("::1", "[address]:port"),
            ("::1:4317", "[address]:port"),
            ("[::1]", "without a port"),
            (":4317", "no host"),
            ("ftp://tempo:1", "'ftp'"),
            ("dns://8.8.8.8/tempo:1", "dns:///tempo:1"),
            ("unix://x", "unix:///path"),
            ("http://tempo:4317/v1/traces", "'4317/v1/traces'"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
