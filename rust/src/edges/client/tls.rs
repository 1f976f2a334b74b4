//! TLS: keys and certificates as PEM, and what the client trusts.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion, version,
};

/// An option that cannot be used: its name, and a sentence that continues it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub option: String,
    pub message: String,
}

impl Wrong {
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self { option: option.into(), message: message.into() }
    }
}

/// PEM, in a file or in the configuration itself. Never shown: it may be a key.
#[derive(Clone, Default)]
pub struct Pem {
    pub file: Option<PathBuf>,
    pub text: Option<String>,
}

impl Pem {
    pub fn is_given(&self) -> bool {
        self.file.is_some() || self.text.is_some()
    }

    /// Read it; `option` is the common part of the two options' names, such as `ca`.
    fn read(&self, option: &str) -> Result<(String, Vec<u8>), Wrong> {
        match (&self.file, &self.text) {
            (Some(_), Some(_)) => {
                Err(Wrong::new(format!("{option}_pem"), format!("is given beside {option}_file")))
            }
            (Some(path), None) => {
                let option = format!("{option}_file");
                match std::fs::read(path) {
                    Ok(data) => Ok((option, data)),
                    Err(error) => {
                        let reason = super::resolve::plain(&error);
                        let message =
                            format!("is {}, which cannot be read: {reason}", path.display());
                        Err(Wrong::new(option, message))
                    }
                }
            }
            (None, Some(text)) => Ok((format!("{option}_pem"), text.clone().into_bytes())),
            (None, None) => Ok((format!("{option}_file"), Vec::new())),
        }
    }

    /// The certificates in it, at least one.
    pub fn certificates(&self, option: &str) -> Result<Vec<CertificateDer<'static>>, Wrong> {
        let (option, data) = self.read(option)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&data).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(Wrong::new(option, "holds no certificate in PEM")),
            Err(error) => Err(Wrong::new(option, format!("is not PEM: {error}"))),
        }
    }

    /// The first private key in it: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub fn private_key(&self, option: &str) -> Result<PrivateKeyDer<'static>, Wrong> {
        let (option, data) = self.read(option)?;
        PrivateKeyDer::from_pem_slice(&data)
            .map_err(|_| Wrong::new(option, "holds no private key in PEM that is not encrypted"))
    }
}

/// Limits of the handshake, of client and server alike.
#[derive(Clone, Default)]
pub struct Handshake {
    pub min_version: Option<String>,
    pub max_version: Option<String>,
    /// Names as Go and IANA write them; all that are safe when empty. TLS 1.3 has its own.
    pub cipher_suites: Vec<String>,
    /// `X25519`, `P256`, `P384`; all when empty.
    pub curve_preferences: Vec<String>,
}

impl Handshake {
    /// The cryptography that is left.
    pub fn provider(&self) -> Result<CryptoProvider, Wrong> {
        let mut provider = ring::default_provider();
        if !self.cipher_suites.is_empty() {
            for name in &self.cipher_suites {
                let known = provider.cipher_suites.iter().any(|suite| is_suite(suite, name));
                if !known {
                    let message = format!("names '{name}', which is unknown or not safe");
                    return Err(Wrong::new("cipher_suites", message));
                }
            }
            let wanted = &self.cipher_suites;
            provider.cipher_suites.retain(|suite| {
                suite.tls13().is_some() || wanted.iter().any(|name| is_suite(suite, name))
            });
        }
        if !self.curve_preferences.is_empty() {
            let mut groups = Vec::new();
            for name in &self.curve_preferences {
                let group = match name.as_str() {
                    "X25519" => ring::kx_group::X25519,
                    "P256" => ring::kx_group::SECP256R1,
                    "P384" => ring::kx_group::SECP384R1,
                    _ => {
                        let message = format!("names '{name}'; there are X25519, P256 and P384");
                        return Err(Wrong::new("curve_preferences", message));
                    }
                };
                groups.push(group);
            }
            provider.kx_groups = groups;
        }
        Ok(provider)
    }

    /// The versions between the two; 1.2 is the oldest that exists here.
    pub fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, Wrong> {
        let rank = |option: &str, value: &Option<String>, other: u8| match value.as_deref() {
            None | Some("") => Ok(other),
            Some("1.0") => Ok(0),
            Some("1.1") => Ok(1),
            Some("1.2") => Ok(2),
            Some("1.3") => Ok(3),
            Some(value) => Err(Wrong::new(option, format!("is '{value}'; write 1.2 or 1.3"))),
        };
        let min = rank("min_version", &self.min_version, 2)?;
        let max = rank("max_version", &self.max_version, 3)?;
        if max < 2 {
            return Err(Wrong::new("max_version", "is older than 1.2, which is not safe"));
        }
        if min > max {
            return Err(Wrong::new("min_version", "is above max_version"));
        }
        let all = [(2, &version::TLS12), (3, &version::TLS13)];
        Ok(all.into_iter().filter(|(rank, _)| (min..=max).contains(rank)).map(|(_, v)| v).collect())
    }
}

fn is_suite(suite: &tokio_rustls::rustls::SupportedCipherSuite, name: &str) -> bool {
    let known = format!("{:?}", suite.suite());
    // Go leaves the hash out of the ChaCha names.
    known == name || known.strip_suffix("_SHA256") == Some(name) && name.ends_with("POLY1305")
}

/// What a client's TLS is made from.
#[derive(Clone, Default)]
pub struct ClientSettings {
    pub ca: Pem,
    pub include_system_ca: bool,
    pub certificate: Pem,
    pub key: Pem,
    pub skip_verify: bool,
    pub server_name: Option<String>,
    pub handshake: Handshake,
    /// Read the files again when a connection opens later than this after the last time.
    pub reload_interval: Option<Duration>,
}

/// A client's TLS; reads its files again when they are due.
pub struct ClientTls {
    settings: ClientSettings,
    alpn: Vec<Vec<u8>>,
    loaded: Mutex<(Instant, Arc<ClientConfig>)>,
}

impl ClientTls {
    pub fn new(settings: ClientSettings, alpn: &[&[u8]]) -> Result<Self, Wrong> {
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.to_vec()).collect();
        if let Some(name) = &settings.server_name {
            ServerName::try_from(name.as_str())
                .map_err(|_| Wrong::new("server_name_override", "is not a host name"))?;
        }
        let config = Arc::new(build(&settings, &alpn)?);
        Ok(Self { settings, alpn, loaded: Mutex::new((Instant::now(), config)) })
    }

    /// The configuration for a new connection. Files that cannot be read leave the last one in use.
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.settings.reload_interval.is_some_and(|every| loaded.0.elapsed() >= every) {
            loaded.0 = Instant::now();
            if let Ok(config) = build(&self.settings, &self.alpn) {
                loaded.1 = Arc::new(config);
            }
        }
        loaded.1.clone()
    }

    /// The name that the server's certificate has to carry.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        let name = self.settings.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_string()).map_err(|_| format!("'{name}' is not a host name"))
    }

    pub fn server_name_override(&self) -> Option<&str> {
        self.settings.server_name.as_deref()
    }
}

fn build(settings: &ClientSettings, alpn: &[Vec<u8>]) -> Result<ClientConfig, Wrong> {
    let provider = Arc::new(settings.handshake.provider()?);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&settings.handshake.versions()?)
        .map_err(|error| Wrong::new("cipher_suites", error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = if settings.skip_verify {
        Arc::new(TrustAll(provider))
    } else {
        let (roots, pinned) = roots(settings)?;
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Wrong::new("ca_file", error.to_string()))?;
        Arc::new(Verifier { inner, pinned })
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match (settings.certificate.is_given(), settings.key.is_given()) {
        (false, false) => builder.with_no_client_auth(),
        (true, true) => {
            let chain = settings.certificate.certificates("cert")?;
            let key = settings.key.private_key("key")?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| Wrong::new("key_file", format!("does not fit: {error}")))?
        }
        (true, false) => return Err(Wrong::new("key_file", "is missing beside the certificate")),
        (false, true) => return Err(Wrong::new("cert_file", "is missing beside the key")),
    };
    config.alpn_protocols = alpn.to_vec();
    Ok(config)
}

/// Trusted roots, and those of them that the configuration names.
fn roots(
    settings: &ClientSettings,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Wrong> {
    let mut roots = RootCertStore::empty();
    let mut pinned = Vec::new();
    if settings.ca.is_given() {
        pinned = settings.ca.certificates("ca")?;
        for certificate in &pinned {
            roots.add(certificate.clone()).map_err(|error| {
                Wrong::new("ca_file", format!("holds a certificate that is no use: {error}"))
            })?;
        }
    }
    if !settings.ca.is_given() || settings.include_system_ca {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let message = "is not given, and this system has no certificates it trusts";
            return Err(Wrong::new("ca_file", message));
        }
    }
    Ok((roots, pinned))
}

/// The usual verification; a certificate that the configuration itself names is trusted as it is,
/// as other implementations do, though it is marked as an authority (`openssl req -x509`).
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // Found after the dates were checked, so only the name is left.
            Err(Error::InvalidCertificate(CertificateError::Other(other)))
                if other.to_string() == "CaUsedAsEndEntity" && self.pinned.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// `insecure_skip_verify`: any certificate will do, but the other side must hold its key.
#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            schemes,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            schemes,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a failed handshake says, in words of its own where the usual ones mislead.
pub fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(_)) => {
            "the other side does not speak TLS; tls: {insecure: true} sends without".into()
        }
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is signed by an unknown authority; name that in tls.ca_file".into()
        }
        Some(error) => format!("TLS: {error}"),
        None => super::resolve::plain(error),
    }
}
