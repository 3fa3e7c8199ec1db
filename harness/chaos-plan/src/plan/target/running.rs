//! Something that runs already, and how it is spoken to.
//!
//! Invariant: a record that was written when a target was nothing but its address is still read.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The address of a target that runs already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// `http://HOST:PORT` or `https://HOST:PORT`; the ports 80 and 443 may be left out.
    pub url: String,
    pub http: HttpVersion,
    /// Whoever answers behind `https` is believed: its certificate is not checked.
    pub insecure: bool,
}

/// The version of HTTP that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HttpVersion {
    /// What both sides prefer over TLS (ALPN, RFC 7301: HTTP/2 first), HTTP/1.1 in clear text.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "1")]
    Http1,
    /// HTTP/2; in clear text with prior knowledge (RFC 9113, section 3.3).
    #[serde(rename = "2")]
    Http2,
}

impl Running {
    /// An address with everything else as it is when nothing is said.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            http: HttpVersion::default(),
            insecure: false,
        }
    }

    /// Whether requests go over TLS.
    pub fn is_https(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Whether HTTP/2 may be spoken: over TLS it is the peer's choice unless version 1 was asked for.
    pub fn may_be_http2(&self) -> bool {
        match self.http {
            HttpVersion::Auto => self.is_https(),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        }
    }
}

impl<'de> Deserialize<'de> for Running {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// The mapping that is written now.
#[derive(Deserialize)]
struct Form {
    url: String,
    http: HttpVersion,
    insecure: bool,
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Running;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, or a mapping with `url`, `http` and `insecure`")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<Running, E> {
        Ok(Running::new(url))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Running, A::Error> {
        let Form {
            url,
            http,
            insecure,
        } = Form::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Running {
            url,
            http,
            insecure,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_survives_its_record_and_one_of_before_is_read() {
        let target = Running {
            http: HttpVersion::Http2,
            insecure: true,
            ..Running::new("https://127.0.0.1")
        };
        let text = serde_json::to_string(&target).expect("plain data");
        assert_eq!(
            text,
            r#"{"url":"https://127.0.0.1","http":"2","insecure":true}"#
        );
        assert_eq!(serde_json::from_str::<Running>(&text).expect(&text), target);
        assert_eq!(
            serde_json::from_str::<Running>(r#""http://127.0.0.1""#).expect("an address"),
            Running::new("http://127.0.0.1")
        );
    }

    #[test]
    fn only_tls_leaves_the_version_to_the_peer() {
        let may = |url, http| {
            let target = Running {
                http,
                ..Running::new(url)
            };
            target.may_be_http2()
        };
        assert!(may("https://h", HttpVersion::Auto) && may("http://h", HttpVersion::Http2));
        assert!(!may("http://h", HttpVersion::Auto) && !may("https://h", HttpVersion::Http1));
    }
}
