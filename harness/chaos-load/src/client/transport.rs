//! How a connection to the target comes about: TCP, then TLS if asked for, then the version of HTTP.
//!
//! Invariant: the version that is spoken is the one the plan asks for, or the one both sides agreed on.

use std::net::SocketAddr;
use std::sync::Arc;

use chaos_plan::plan::{HttpVersion, Load, Target};
use chaos_record::outcome::FailKind;
use http::HeaderValue;
use http::uri::{Authority, Scheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http1::{Connection, OpenCount};
use super::lane::Lane;
use super::socket::Socket;
use super::tls::{Tls, TlsError};
use super::{failure, http2};
use crate::address::Address;

/// How every worker reaches the target.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    /// Tried in this order by each connect.
    sockets: Vec<SocketAddr>,
    tls: Option<Tls>,
    http: HttpVersion,
    /// Most HTTP/2 requests at once on one connection.
    streams: usize,
    /// What HTTP/2 puts in place of the `host` header.
    pub(super) origin: Origin,
}

/// Scheme and authority of the target.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) host: HeaderValue,
    pub(super) authority: Authority,
}

#[cfg(test)]
impl Origin {
    /// One of no importance.
    pub(super) fn shop() -> Self {
        Self {
            scheme: Scheme::HTTP,
            host: HeaderValue::from_static("shop"),
            authority: Authority::from_static("shop"),
        }
    }
}

impl Transport {
    pub(crate) fn new(address: &Address, target: &Target, load: &Load) -> Result<Self, TlsError> {
        let (http, insecure) = match target {
            Target::Url(running) => (running.http, running.insecure),
            Target::Deploy(_) => (HttpVersion::Http1, false),
        };
        let tls = match &address.tls_host {
            Some(host) => Some(Tls::new(host, http, insecure)?),
            None => None,
        };
        Ok(Self {
            sockets: address.sockets.clone(),
            origin: Origin {
                scheme: if tls.is_some() {
                    Scheme::HTTPS
                } else {
                    Scheme::HTTP
                },
                host: address.host.clone(),
                authority: address.authority.clone(),
            },
            tls,
            http,
            streams: load.streams.unwrap_or(Load::STREAMS) as usize,
        })
    }

    /// Tells what of TLS would keep every request from being sent. Blocks for some seconds at most.
    pub(crate) fn look(&self) -> Result<(), TlsError> {
        match &self.tls {
            Some(tls) => tls.look(&self.sockets, self.http),
            None => Ok(()),
        }
    }

    /// Requests at once that one connection may carry, as far as is known before there is one.
    pub(super) fn lanes_expected(&self) -> usize {
        let may_be_http2 = match self.http {
            HttpVersion::Auto => self.tls.is_some(),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        };
        if may_be_http2 { self.streams } else { 1 }
    }

    /// A new connection to the first socket that takes one, as the lanes it has.
    pub(super) async fn open(
        &self,
        mut open: impl FnMut() -> OpenCount,
    ) -> Result<Vec<Lane>, FailKind> {
        let mut last = FailKind::ConnectOther;
        for socket in &self.sockets {
            match self.open_at(*socket, open()).await {
                Ok(lanes) => return Ok(lanes),
                Err(kind) => last = kind,
            }
        }
        Err(last)
    }

    async fn open_at(&self, socket: SocketAddr, open: OpenCount) -> Result<Vec<Lane>, FailKind> {
        let stream = dial(socket).await?;
        let (socket, agreed) = match &self.tls {
            None => (Socket::Clear(stream), None),
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let connected = connector.connect(tls.name.clone(), stream).await;
                let stream = connected.map_err(|_| FailKind::Tls)?;
                let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                (Socket::Tls(Box::new(stream)), agreed)
            }
        };
        let is_http2 = match (self.http, self.tls.is_some()) {
            (HttpVersion::Http1, _) | (HttpVersion::Auto, false) => false,
            (HttpVersion::Http2, false) => true,
            (HttpVersion::Auto | HttpVersion::Http2, true) => agreed.as_deref() == Some(b"h2"),
        };
        if self.http == HttpVersion::Http2 && !is_http2 {
            return Err(FailKind::Tls);
        }
        if is_http2 {
            let lanes = http2::open(socket, self.streams, &self.origin, open).await?;
            Ok(lanes.into_iter().map(Lane::Http2).collect())
        } else {
            Ok(vec![Lane::Http1(Box::new(Connection::over(socket, open)))])
        }
    }
}

async fn dial(socket: SocketAddr) -> Result<TcpStream, FailKind> {
    let stream = TcpStream::connect(socket)
        .await
        .map_err(|error| failure::of_connect(&error))?;
    if is_connected_to_itself(&stream) {
        return Err(FailKind::ConnectRefused);
    }
    stream
        .set_nodelay(true)
        .map_err(|error| failure::of_connect(&error))?;
    Ok(stream)
}

/// Linux can connect a socket to itself when it draws the very port it asks for, and nobody listens there.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}
