//! TLS of a server: certificates, client certificates, versions; read again when they change.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::Protocol;
use super::io::Stream;

/// Where a certificate or key comes from.
#[derive(Clone)]
pub enum Pem {
    File(PathBuf),
    Text(String),
}

impl Pem {
    fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => std::fs::read(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            }),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Text(_) => "the PEM text".into(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

#[derive(Clone)]
pub struct TlsSettings {
    pub cert: Pem,
    pub key: Pem,
    /// Who may have signed a client's certificate; without it none is asked for.
    pub client_ca: Option<Pem>,
    /// TLS 1.2 or 1.3: the least and the most, as (1, minor).
    pub versions: (u8, u8),
    /// Names of cipher suites, as the IANA has them; all that are safe when empty.
    pub cipher_suites: Vec<String>,
    /// How old a reading of the files may be; never read again when `None`.
    pub reload_interval: Option<Duration>,
}

/// The TLS side of a listening socket.
pub struct Tls {
    settings: TlsSettings,
    protocol: Protocol,
    loaded: Mutex<(Instant, Arc<ServerConfig>)>,
}

impl Tls {
    pub fn load(settings: TlsSettings, protocol: Protocol) -> io::Result<Self> {
        let config = config(&settings, protocol)?;
        Ok(Self { settings, protocol, loaded: Mutex::new((Instant::now(), config)) })
    }

    /// Shake hands. Returns the protocol agreed on, too.
    pub async fn accept(
        &self,
        stream: Box<dyn Stream>,
        warn: &(dyn Fn(String) + Sync),
    ) -> io::Result<(Box<dyn Stream>, Option<Vec<u8>>)> {
        let stream = TlsAcceptor::from(self.config(warn)).accept(stream).await?;
        let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok((Box::new(stream), alpn))
    }

    /// The configuration of this moment. Files that cannot be used leave the last one in place:
    /// a certificate that is being replaced must not take the server down.
    fn config(&self, warn: &(dyn Fn(String) + Sync)) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |interval| loaded.0.elapsed() >= interval;
        if self.settings.reload_interval.is_some_and(is_old) {
            loaded.0 = Instant::now();
            match config(&self.settings, self.protocol) {
                Ok(config) => loaded.1 = config,
                Err(error) => warn(format!("keeps its old certificates: {error}")),
            }
        }
        loaded.1.clone()
    }
}

fn invalid(what: &str, why: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {why}"))
}

fn certificates(pem: &Pem) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = pem.read()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| invalid(&pem.name(), error))?;
    if found.is_empty() {
        return Err(invalid(&pem.name(), "holds no certificate"));
    }
    Ok(found)
}

fn provider(names: &[String]) -> io::Result<Arc<CryptoProvider>> {
    let mut provider = ring::default_provider();
    if !names.is_empty() {
        let known = |name: &String| {
            // Go writes TLS 1.3 suites as TLS_, rustls as TLS13_.
            let other = name.replacen("TLS_", "TLS13_", 1);
            provider.cipher_suites.iter().copied().find(|suite| {
                let id = format!("{:?}", suite.suite());
                id == *name || id == other
            })
        };
        let chosen: Vec<_> = names.iter().filter_map(known).collect();
        if chosen.is_empty() {
            return Err(invalid("cipher_suites", "none of them is supported"));
        }
        provider.cipher_suites = chosen;
    }
    Ok(Arc::new(provider))
}

fn config(settings: &TlsSettings, protocol: Protocol) -> io::Result<Arc<ServerConfig>> {
    let provider = provider(&settings.cipher_suites)?;
    let (least, most) = settings.versions;
    let versions: Vec<&SupportedProtocolVersion> = [(2, &version::TLS12), (3, &version::TLS13)]
        .into_iter()
        .filter(|(minor, _)| (least..=most).contains(minor))
        .map(|(_, version)| version)
        .collect();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| invalid("min_version, max_version", error))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|error| invalid(&pem.name(), error))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| invalid(&pem.name(), error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(&settings.key.read()?)
        // The parser's own words may repeat a line of the key.
        .map_err(|_| invalid(&settings.key.name(), "holds no private key in PEM"))?;
    let mut config = builder
        .with_single_cert(certificates(&settings.cert)?, key)
        .map_err(|error| invalid(&settings.cert.name(), error))?;
    config.alpn_protocols = match protocol {
        Protocol::Grpc => vec![b"h2".to_vec()],
        Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}
