//! TLS by rustls: whom the engine believes, and what it offers to speak (ALPN).
//!
//! Invariant: a certificate goes unchecked only where the plan says `insecure`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos_plan::plan::HttpVersion;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use thiserror::Error;

/// Longest that a look at the certificate may take, and a connection for it.
const LOOK: Duration = Duration::from_secs(2);

/// Why `https` cannot work.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error(
        "no certificate of an authority is installed, so none of the target's could be checked: set SSL_CERT_FILE to a file of them, or say `insecure: true` (`--insecure`)"
    )]
    NoAuthorities,
    #[error("`{host}` is not a name that a certificate could be for")]
    Name { host: String },
    #[error(
        "the certificate of `{host}` is not to be believed ({why}): set SSL_CERT_FILE to its authority, or say `insecure: true` (`--insecure`)"
    )]
    Certificate { host: String, why: String },
    #[error("`{host}` does not speak TLS there: give an `http://` address")]
    NotTls { host: String },
    #[error("`{host}` does not speak HTTP/2 over TLS: leave `http: 2` (`--http2`) out")]
    NoHttp2 { host: String },
    #[error("`{host}` does not speak HTTP/1.1 over TLS: leave `http: 1` (`--http 1`) out")]
    NoHttp1 { host: String },
    #[error("`{host}` speaks neither HTTP/2 nor HTTP/1.1 over TLS: is it the right port?")]
    NoHttp { host: String },
    #[error("TLS could not be set up")]
    Setup { source: Error },
}

/// How sessions to one host are made.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Tls {
    /// Reads the system's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` go before them) unless nothing is checked.
    pub(super) fn new(host: &str, http: HttpVersion, insecure: bool) -> Result<Self, TlsError> {
        let believed = if insecure { None } else { Some(authorities()?) };
        Self::believing(host, http, believed)
    }

    /// Believes these authorities; `None`: everyone.
    fn believing(
        host: &str,
        http: HttpVersion,
        believed: Option<RootCertStore>,
    ) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name {
            host: host.to_owned(),
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Setup { source })?;
        let builder = match believed {
            Some(authorities) => builder.with_root_certificates(authorities),
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believer(provider))),
        };
        let mut config = builder.with_no_client_auth();
        let versions: &[&[u8]] = match http {
            HttpVersion::Auto => &[b"h2", b"http/1.1"],
            HttpVersion::Http1 => &[b"http/1.1"],
            HttpVersion::Http2 => &[b"h2"],
        };
        config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    /// Shakes hands once and tells what would keep every request from being sent. A target that cannot
    /// be reached, or breaks off, is no such thing: that is for the load to find.
    pub(super) fn look(&self, sockets: &[SocketAddr], http: HttpVersion) -> Result<(), TlsError> {
        let reached = sockets
            .iter()
            .find_map(|socket| TcpStream::connect_timeout(socket, LOOK).ok());
        let Some(mut stream) = reached else {
            return Ok(());
        };
        let mut stream = Impatient {
            stream: &mut stream,
            until: Instant::now() + LOOK,
        };
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|source| TlsError::Setup { source })?;
        while session.is_handshaking() {
            match session.complete_io(&mut stream) {
                Ok(_) => {}
                Err(error) => {
                    let cause = error
                        .get_ref()
                        .and_then(|cause| cause.downcast_ref::<Error>());
                    return cause.map_or(Ok(()), |cause| self.told(cause, http));
                }
            }
        }
        if http == HttpVersion::Http2 && session.alpn_protocol() != Some(b"h2") {
            return Err(TlsError::NoHttp2 { host: self.host() });
        }
        Ok(())
    }

    fn told(&self, cause: &Error, http: HttpVersion) -> Result<(), TlsError> {
        let host = self.host();
        Err(match cause {
            Error::InvalidCertificate(why) => TlsError::Certificate {
                host,
                why: words(why),
            },
            Error::InvalidMessage(_) => TlsError::NotTls { host },
            Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol) => match http {
                HttpVersion::Auto => TlsError::NoHttp { host },
                HttpVersion::Http1 => TlsError::NoHttp1 { host },
                HttpVersion::Http2 => TlsError::NoHttp2 { host },
            },
            _ => return Ok(()),
        })
    }

    fn host(&self) -> String {
        self.name.to_str().into_owned()
    }
}

/// The cause as people say it; rustls' own words for the rest.
fn words(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody we know has signed it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        other => other.to_string(),
    }
}

fn authorities() -> Result<RootCertStore, TlsError> {
    let mut known = RootCertStore::empty();
    let (added, _) =
        known.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(TlsError::NoAuthorities);
    }
    Ok(known)
}

/// A peer that lets us wait is one that broke off: `WouldBlock` would be asked again for ever. However
/// it spreads what it sends, it has until then and no longer.
struct Impatient<'a> {
    stream: &'a mut TcpStream,
    until: Instant,
}

impl Read for Impatient<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let in_time = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::WouldBlock => std::io::ErrorKind::TimedOut.into(),
            _ => error,
        };
        self.stream.read(bytes).map_err(in_time)
    }
}

impl Write for Impatient<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// Believes every certificate; that the peer holds its key is still checked.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
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
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use chaos_testkit::server::{Certificate, Version};
    use chaos_testkit::{Law, Server, Settings};

    use super::*;

    const NAMES: [&str; 1] = ["127.0.0.1"];

    fn look(url: &str, believed: Option<&Certificate>, http: HttpVersion) -> Result<(), TlsError> {
        let believed = believed.map(|certificate| {
            let mut authorities = RootCertStore::empty();
            let added = authorities.add(certificate.authority());
            added.expect("an authority");
            authorities
        });
        let socket = url.rsplit('/').next().expect("a URL");
        let socket = socket.parse().expect("a socket address");
        Tls::believing("127.0.0.1", http, believed)
            .expect("a name")
            .look(&[socket], http)
    }

    fn server(certificate: &Certificate, version: Version) -> Server {
        let settings = Settings::new(Law::Fixed(Duration::ZERO));
        Server::start(settings.tls(certificate.clone()).version(version))
    }

    #[test]
    fn a_certificate_is_believed_for_its_name_and_time_alone() {
        let good = Certificate::of(&NAMES);
        let server = server(&good, Version::Either);
        look(&server.url(), Some(&good), HttpVersion::Auto).expect("a good certificate");
        let (other, old) = (
            Certificate::of(&["shop.example"]),
            Certificate::expired(&NAMES),
        );
        for (why, certificate, believed) in [
            ("nobody we know", &good, &other),
            ("another name", &other, &other),
            ("has expired", &old, &old),
        ] {
            let server = self::server(certificate, Version::Either);
            let looked = look(&server.url(), Some(believed), HttpVersion::Auto);
            let said = looked.expect_err("it is not to be believed").to_string();
            assert!(
                said.contains(why) && said.contains("`insecure: true`"),
                "{said}"
            );
            look(&server.url(), None, HttpVersion::Auto).expect("everyone is believed");
        }
    }

    #[test]
    fn what_speaks_no_tls_or_no_http2_is_told_apart() {
        let plain = Server::prompt();
        let looked = look(&plain.url(), None, HttpVersion::Auto);
        assert!(matches!(looked, Err(TlsError::NotTls { .. })), "{looked:?}");
        let old = server(&Certificate::of(&NAMES), Version::Http1);
        let looked = look(&old.url(), None, HttpVersion::Http2);
        assert!(
            matches!(looked, Err(TlsError::NoHttp2 { .. })),
            "{looked:?}"
        );
        look(&old.url(), None, HttpVersion::Auto).expect("HTTP/1.1 will do");
        let new = server(&Certificate::of(&NAMES), Version::Http2);
        let looked = look(&new.url(), None, HttpVersion::Http1);
        let said = looked.expect_err("it speaks HTTP/2 alone").to_string();
        assert!(
            said.contains("does not speak HTTP/1.1") && said.contains("(`--http 1`)"),
            "{said}"
        );
        look(&new.url(), None, HttpVersion::Auto).expect("HTTP/2 will do");
    }

    /// Sends the head of a long record and then, ten times a second for 20 s, one byte of it.
    fn dribble(listener: &TcpListener) {
        let (mut peer, _) = listener.accept().expect("a client");
        peer.set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a time");
        for byte in [22, 3, 3, 0x3f, 0xff].into_iter().chain([0; 195]) {
            let gone = matches!(peer.read(&mut [0; 4_096]), Ok(0));
            if gone || peer.write_all(&[byte]).is_err() {
                return;
            }
        }
    }

    #[test]
    fn a_peer_that_dribbles_is_not_looked_at_for_longer() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("it is bound"));
        let peer = std::thread::spawn(move || dribble(&listener));
        let began = Instant::now();
        look(&url, None, HttpVersion::Auto).expect("that is for the load to find");
        assert!(began.elapsed() < LOOK * 5, "{:?}", began.elapsed());
        peer.join().expect("it ends when we are gone");
    }

    #[test]
    fn a_target_that_is_not_there_is_for_the_load_to_find() {
        let gone = Server::prompt().url();
        look(&gone, None, HttpVersion::Auto).expect("nobody to look at");
    }
}
