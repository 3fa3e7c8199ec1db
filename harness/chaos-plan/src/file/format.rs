//! The forms a text can have: duration, rate, share, instant, template and so on.
//!
//! Invariant: one `parse` for each form serves the walk (is it well formed?), the typed value and,
//! by name and example, the schema.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de::Error};

use super::amount::{Bytes, BytesAnHour, CountAnHour, TimeAnHour};
use super::claim::AllRules;
use super::cluster::ObjectName;
use super::cluster_fault::ImageName;
use super::located::Optional;
use super::range::TextRange;
use crate::diagnostic::quote;
use crate::plan::{HttpVersion, Moment, StatusRange, Workload};
use crate::template::Template;
use crate::units::{self, Rate, Share};

/// A value that is written as text of a certain form.
pub(crate) trait Format: Sized {
    /// Its name in the schema.
    const NAME: &'static str;
    /// Well-formed texts, for the schema and for help.
    const EXAMPLES: &'static [&'static str];
    /// JSON types it may be written as.
    const TYPES: &'static [&'static str] = &["string"];
    /// Longest text in bytes.
    const MAX: usize = 100;

    /// Why a text is not of this form, as a message, or its value.
    fn parse(text: &str) -> Result<Self, String>;
}

/// The value of a text of a certain form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<'de, T: Format> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::parse(&String::deserialize(deserializer)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl<T: Format> JsonSchema for Text<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types = match T::TYPES {
            [one] => serde_json::json!(one),
            several => serde_json::json!(several),
        };
        schemars::json_schema!({ "type": types, "format": T::NAME, "examples": T::EXAMPLES })
    }
}

impl<T: Format + Clone> Optional<Text<T>> {
    /// The value of `default`, a text of the same form, if it was left out; `None` if it was bad.
    pub(crate) fn or_text(&self, default: &str) -> Option<T> {
        let default = Text(T::parse(default).expect("defaults in the code are well formed"));
        self.or(default).map(|text| text.0)
    }
}

type Validator = fn(&str) -> Result<(), String>;

/// The validator of a form by its name in the schema; unknown names are no business of ours.
pub(super) fn validator(name: &str) -> Option<Validator> {
    const ALL: [(&str, Validator); 22] = [
        entry::<Duration>(),
        entry::<Rate>(),
        entry::<Share>(),
        entry::<Instant>(),
        entry::<After>(),
        entry::<Template>(),
        entry::<PathTemplate>(),
        entry::<StatusRange>(),
        entry::<Pointer>(),
        entry::<HeaderName>(),
        entry::<Path>(),
        entry::<Url>(),
        entry::<HttpVersion>(),
        entry::<Bytes>(),
        entry::<BytesAnHour>(),
        entry::<CountAnHour>(),
        entry::<TimeAnHour>(),
        entry::<AllRules>(),
        entry::<TextRange>(),
        entry::<ObjectName>(),
        entry::<Workload>(),
        entry::<ImageName>(),
    ];
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, validate)| *validate)
}

const fn entry<T: Format>() -> (&'static str, Validator) {
    (T::NAME, validate::<T>)
}

fn validate<T: Format>(text: &str) -> Result<(), String> {
    if text.len() > T::MAX {
        return Err(format!(
            "{} is too long: at most {} bytes",
            quote(text),
            T::MAX
        ));
    }
    T::parse(text).map(drop)
}

impl Format for Duration {
    const NAME: &'static str = "duration";
    const EXAMPLES: &'static [&'static str] = &["10s", "200ms", "1m30s"];

    fn parse(text: &str) -> Result<Self, String> {
        units::parse_duration(text).map_err(|error| error.to_string())
    }
}

impl Format for Rate {
    const NAME: &'static str = "rate";
    const EXAMPLES: &'static [&'static str] = &["200/s", "30/min"];

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl Format for Share {
    const NAME: &'static str = "share";
    const EXAMPLES: &'static [&'static str] = &["0.1%", "50%"];

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl Format for Template {
    const NAME: &'static str = "template";
    const EXAMPLES: &'static [&'static str] = &["Bearer {token}"];
    const TYPES: &'static [&'static str] = &["string", "number", "boolean"];
    const MAX: usize = 65_536;

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

/// An instant of the load: `30s` from its start, or `spike + 10s` from the start of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) stage: Option<String>,
    pub(crate) offset: Duration,
}

impl Format for Instant {
    const NAME: &'static str = "instant";
    const EXAMPLES: &'static [&'static str] = &["spike + 10s", "30s"];

    fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{} is not an instant: write `STAGE + 10s`, `STAGE`, or `30s` from the start of the load",
                quote(text)
            )
        };
        let (name, offset) = named_offset(text).ok_or_else(bad)?;
        if name.is_some_and(|name| name.contains('.')) {
            return Err(format!(
                "{} waits for another fault: write it under `after:`",
                quote(text)
            ));
        }
        Ok(Self {
            stage: name.map(str::to_owned),
            offset,
        })
    }
}

/// A moment of another fault: `kill-api.recovered + 5s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) fault: String,
    pub(crate) moment: Moment,
    pub(crate) offset: Duration,
}

impl Format for After {
    const NAME: &'static str = "after";
    const EXAMPLES: &'static [&'static str] = &["kill-api.recovered + 5s"];

    fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{} is not a moment of a fault: write `FAULT.recovered + 5s`, `FAULT.effective` or `FAULT.undone`",
                quote(text)
            )
        };
        let (name, offset) = named_offset(text).ok_or_else(bad)?;
        let (fault, moment) = name.and_then(|name| name.split_once('.')).ok_or_else(bad)?;
        let moment = match moment {
            "effective" => Moment::Effective,
            "undone" => Moment::Undone,
            "recovered" => Moment::Recovered,
            _ => return Err(bad()),
        };
        Ok(Self {
            fault: fault.to_owned(),
            moment,
            offset,
        })
    }
}

/// `NAME`, `NAME + OFFSET` or `OFFSET`.
fn named_offset(text: &str) -> Option<(Option<&str>, Duration)> {
    let (name, offset) = match text.split_once('+') {
        Some((name, offset)) => (name.trim(), units::parse_duration(offset).ok()?),
        None => match units::parse_duration(text) {
            Ok(offset) => return Some((None, offset)),
            Err(_) => (text.trim(), Duration::ZERO),
        },
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits);
    is_name.then_some((Some(name), offset))
}

/// A path of a request, with slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathTemplate(pub(crate) Template);

impl Format for PathTemplate {
    const NAME: &'static str = "path-template";
    const EXAMPLES: &'static [&'static str] = &["/products?q={word}"];
    const MAX: usize = 4_096;

    fn parse(text: &str) -> Result<Self, String> {
        Path::parse(text)?;
        Template::parse(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// A path on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) String);

impl Format for Path {
    const NAME: &'static str = "path";
    const EXAMPLES: &'static [&'static str] = &["/ready"];
    const MAX: usize = 4_096;

    fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!(
                "{} is not a path: it must begin with `/`",
                quote(text)
            ));
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) || text.contains('#') {
            return Err(format!(
                "{} is not a path: encode spaces, `#` and other letters, such as `%20`",
                quote(text)
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Format for StatusRange {
    const NAME: &'static str = "status";
    const EXAMPLES: &'static [&'static str] = &["200", "2xx", "200-299"];
    const TYPES: &'static [&'static str] = &["integer", "string"];

    fn parse(text: &str) -> Result<Self, String> {
        let one = |text: &str| {
            text.trim()
                .parse::<u16>()
                .ok()
                .filter(|status| (100..=599).contains(status))
        };
        let range = if let Some(class) = text.strip_suffix("xx") {
            class
                .parse::<u16>()
                .ok()
                .filter(|class| (1..=5).contains(class))
                .map(|class| (class * 100, class * 100 + 99))
        } else if let Some((from, to)) = text.split_once('-') {
            one(from).zip(one(to)).filter(|(from, to)| from <= to)
        } else {
            one(text).map(|status| (status, status))
        };
        let (from, to) = range.ok_or_else(|| {
            format!(
                "{} is not a status: write `200`, `2xx` or `200-299`, within 100 to 599",
                quote(text)
            )
        })?;
        Ok(Self { from, to })
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) String);

impl Format for Pointer {
    const NAME: &'static str = "json-pointer";
    const EXAMPLES: &'static [&'static str] = &["/items/0/id"];
    const MAX: usize = 1_024;

    fn parse(text: &str) -> Result<Self, String> {
        let escapes_fit = text
            .split('~')
            .skip(1)
            .all(|after| after.starts_with(['0', '1']));
        if !(text.is_empty() || text.starts_with('/')) || !escapes_fit {
            return Err(format!(
                "{} is not a JSON pointer: write `/items/0/id`, with `~0` for `~` and `~1` for `/`",
                quote(text)
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A header's name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderName(pub(crate) String);

impl Format for HeaderName {
    const NAME: &'static str = "header-name";
    const EXAMPLES: &'static [&'static str] = &["content-type"];

    fn parse(text: &str) -> Result<Self, String> {
        // A token of RFC 9110, section 5.6.2.
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(format!(
                "{} is not a header's name: letters, digits and `-`",
                quote(text)
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// Where something runs already: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(pub(crate) String);

impl Format for Url {
    const NAME: &'static str = "http-url";
    const EXAMPLES: &'static [&'static str] = &["http://127.0.0.1:8080", "https://shop.example"];
    const MAX: usize = 300;

    fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{} is not an address: write `http://HOST:PORT` or `https://HOST:PORT`, without a path",
                quote(text)
            )
        };
        let (scheme, authority) = text
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
            .ok_or_else(bad)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_v6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        let is_name = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !(is_v6 || is_name) || !port_fits {
            return Err(bad());
        }
        Ok(Self(format!("{scheme}://{authority}")))
    }
}

impl Format for HttpVersion {
    const NAME: &'static str = "http-version";
    const EXAMPLES: &'static [&'static str] = &["auto", "1", "2"];
    const TYPES: &'static [&'static str] = &["string", "integer"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "1" => Ok(Self::Http1),
            "2" => Ok(Self::Http2),
            _ => Err(format!(
                "{} is no version of HTTP that is spoken here: write `auto`, `1` or `2`",
                quote(text)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T: Format>(texts: &[&str]) {
        for text in texts {
            assert!(T::parse(text).is_ok(), "{text} as {}", T::NAME);
        }
    }

    fn bad<T: Format>(texts: &[&str]) {
        for text in texts {
            assert!(T::parse(text).is_err(), "{text} as {}", T::NAME);
        }
    }

    fn examples<T: Format>() {
        good::<T>(T::EXAMPLES);
        assert!(validator(T::NAME).is_some(), "{} is in the table", T::NAME);
        assert!(
            validate::<T>(&"x".repeat(T::MAX + 1)).is_err(),
            "{} is limited",
            T::NAME
        );
    }

    #[test]
    fn every_example_is_well_formed() {
        examples::<Duration>();
        examples::<Rate>();
        examples::<Share>();
        examples::<Instant>();
        examples::<After>();
        examples::<Template>();
        examples::<PathTemplate>();
        examples::<StatusRange>();
        examples::<Pointer>();
        examples::<HeaderName>();
        examples::<Path>();
        examples::<Url>();
        examples::<HttpVersion>();
        examples::<Bytes>();
        examples::<BytesAnHour>();
        examples::<CountAnHour>();
        examples::<TimeAnHour>();
        examples::<AllRules>();
    }

    #[test]
    fn instants_name_a_stage_or_count_from_the_start() {
        let instant = |stage: Option<&str>, seconds| {
            Ok(Instant {
                stage: stage.map(str::to_owned),
                offset: Duration::from_secs(seconds),
            })
        };
        assert_eq!(Instant::parse("spike+10s"), instant(Some("spike"), 10));
        assert_eq!(Instant::parse("spike"), instant(Some("spike"), 0));
        assert_eq!(Instant::parse("90s"), instant(None, 90));
        bad::<Instant>(&[
            "",
            "spike - 5s",
            "spike + 5",
            "5",
            "10s + spike",
            "kill.recovered + 5s",
            "two words",
        ]);
        bad::<After>(&[
            "",
            "kill + 5s",
            "kill.gone",
            "kill.recovered + x",
            ".recovered",
        ]);
    }

    #[test]
    fn addresses_and_paths() {
        good::<Url>(&[
            "http://localhost",
            "http://[::1]:80",
            "http://a.b:8080/",
            "https://a",
        ]);
        bad::<Url>(&[
            "https://a/b",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a:0",
            "http://a:99999",
            "http://u@a",
            "a:80",
            "http://a b",
        ]);
        bad::<Path>(&["", "ready", "/a b", "/\u{e9}", "/a#b"]);
        bad::<StatusRange>(&["", "99", "600", "6xx", "299-200", "2x", "200-", "ok"]);
        bad::<Pointer>(&["items", "/a~2", "/a~"]);
        bad::<HeaderName>(&["", "a b", "a:b"]);
    }
}
