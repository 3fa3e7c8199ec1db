//! What a server speaks: HTTP/1.1 or HTTP/2, in clear text or under TLS with a certificate made for it.
//!
//! Invariant: a certificate and its key live as long as the process; neither is ever written to a file.

use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The version of HTTP that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    #[default]
    Http1,
    /// With prior knowledge in clear text; the only one offered under TLS.
    Http2,
    /// Only under TLS: both are offered.
    Either,
}

/// A certificate, its key and the authority that signed it.
#[derive(Debug, Clone)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    authority: CertificateDer<'static>,
    authority_pem: String,
}

impl Certificate {
    /// For these names or addresses, good for a long time.
    pub fn of(names: &[&str]) -> Self {
        Self::until(names, 2099)
    }

    /// One that has expired.
    pub fn expired(names: &[&str]) -> Self {
        Self::until(names, 2001)
    }

    fn until(names: &[&str], year: i32) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        // Two authorities of one name would be taken for each other.
        let name = format!("authority {:?}", &key.public_key_raw()[1..9]);
        params.distinguished_name.push(DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let own = params.signed_by(&key, &authority).expect("a certificate");
        Self {
            chain: vec![own.der().clone()],
            key: Arc::new(PrivateKeyDer::try_from(key.serialize_der()).expect("a key")),
            authority: authority.der().clone(),
            authority_pem: authority.pem(),
        }
    }

    /// Who signed it.
    pub fn authority(&self) -> CertificateDer<'static> {
        self.authority.clone()
    }

    /// The same as text for `SSL_CERT_FILE`.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// What a server needs that speaks this version under it.
    pub fn config(&self, version: Version) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("a certificate and its key");
        let offered: &[&[u8]] = match version {
            Version::Http1 => &[b"http/1.1"],
            Version::Http2 => &[b"h2"],
            Version::Either => &[b"h2", b"http/1.1"],
        };
        config.alpn_protocols = offered.iter().map(|version| version.to_vec()).collect();
        Arc::new(config)
    }
}
