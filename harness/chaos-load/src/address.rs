//! The base address of the target: `http://host:port` or `https://host:port`, with an optional path in front of every step's path.
//!
//! Invariant: an [`Address`] that exists has at least one socket address to connect to.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use http::Uri;
use http::header::HeaderValue;
use http::uri::{Authority, Scheme};
use thiserror::Error;

/// Why the load cannot be sent to an address.
#[derive(Debug, Error)]
pub enum AddressError {
    #[error(
        "`{address}` is not an address such as `http://127.0.0.1:8080` or `https://shop.example`"
    )]
    NotAnAddress { address: String },
    #[error(
        "the host of `{address}` has no IP address: check its spelling or give the IP address itself"
    )]
    Resolve { address: String, source: io::Error },
}

/// Where every request goes; resolved once, so that all of a load goes to the same machines.
#[derive(Debug, Clone)]
pub struct Address {
    /// For the `host` header.
    pub(crate) host: HeaderValue,
    /// For `:authority` of HTTP/2.
    pub(crate) authority: Authority,
    /// The name that the certificate must be for, if there must be one.
    pub(crate) tls_host: Option<String>,
    /// Stands before the path of each step; without a slash at its end.
    pub(crate) prefix: String,
    /// Tried in this order by each connect.
    pub(crate) sockets: Vec<SocketAddr>,
}

impl Address {
    /// Parses `http://host:port` or `https://host:port`, with an optional path, and resolves; blocks for
    /// as long as the system's resolver takes if the host is a name.
    ///
    /// # Errors
    /// It is no such address, or its host has no IP address.
    pub fn resolve(address: &str) -> Result<Self, AddressError> {
        let not_one = || AddressError::NotAnAddress {
            address: address.to_owned(),
        };
        let uri: Uri = address.parse().map_err(|_| not_one())?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) | None => return Err(not_one()),
        };
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
            .ok_or_else(not_one)?;
        let name = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let resolve_error = |source| AddressError::Resolve {
            address: address.to_owned(),
            source,
        };
        let default_port = if is_https { 443 } else { 80 };
        let sockets: Vec<SocketAddr> = (name, authority.port_u16().unwrap_or(default_port))
            .to_socket_addrs()
            .map_err(resolve_error)?
            .collect();
        if sockets.is_empty() {
            return Err(resolve_error(io::ErrorKind::NotFound.into()));
        }
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        Ok(Self {
            host: HeaderValue::from_str(host).map_err(|_| not_one())?,
            authority: host.parse().map_err(|_| not_one())?,
            tls_host: is_https.then(|| name.to_owned()),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            sockets,
        })
    }

    /// What to connect to, in this order; never empty.
    pub fn sockets(&self) -> &[SocketAddr] {
        &self.sockets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, host: &str, prefix: &str, socket: &str) {
        let parsed = Address::resolve(address).expect(address);
        assert_eq!(parsed.host, host);
        assert_eq!(parsed.prefix, prefix);
        assert_eq!(parsed.sockets, [socket.parse().expect("a socket address")]);
    }

    #[test]
    fn an_address_has_host_prefix_and_socket() {
        check(
            "http://127.0.0.1:8080",
            "127.0.0.1:8080",
            "",
            "127.0.0.1:8080",
        );
        check("http://127.0.0.1", "127.0.0.1", "", "127.0.0.1:80");
        check(
            "http://127.0.0.1:1/shop/",
            "127.0.0.1:1",
            "/shop",
            "127.0.0.1:1",
        );
        check("http://[::1]:81", "[::1]:81", "", "[::1]:81");
        check("https://127.0.0.1", "127.0.0.1", "", "127.0.0.1:443");
    }

    #[test]
    fn what_cannot_be_reached_is_refused_with_its_reason() {
        for address in ["127.0.0.1:80", "ftp://127.0.0.1", "", "http://", "/path"] {
            assert!(
                matches!(
                    Address::resolve(address),
                    Err(AddressError::NotAnAddress { .. })
                ),
                "{address}"
            );
        }
    }
}
