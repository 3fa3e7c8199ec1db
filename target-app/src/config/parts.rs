//! The addresses of parts of the store that are programs of their own.
//!
//! Invariant: what is printed of an address is host and port; user and password stay inside.

use std::fmt;

use url::Url;

use super::settings::Settings;

/// The address of a part, with what is needed to log in there.
#[derive(Clone)]
pub(crate) struct PartUrl(Url);

impl PartUrl {
    /// The whole address, for the one place that connects.
    pub(crate) fn expose(&self) -> &Url {
        &self.0
    }

    /// Host and port.
    pub(crate) fn place(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        let default = match self.0.scheme() {
            "amqp" => 5672,
            _ => 6379,
        };
        format!("{host}:{}", self.0.port().unwrap_or(default))
    }
}

impl fmt::Debug for PartUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.place())
    }
}

/// Where the message broker answers (`AMQP_URL`); not set: events go over HTTP.
pub(super) fn queue(settings: &mut Settings<'_>) -> Option<PartUrl> {
    let form = "amqp://user:password@host:port/%2f";
    read(settings, ["AMQP_URL", "AMQP_URL_FILE"], "amqp", form)
}

/// Where Redis answers (`REDIS_URL`); not set: each process keeps a cache of its own.
pub(super) fn redis(settings: &mut Settings<'_>) -> Option<PartUrl> {
    let form = "redis://host:port or redis://:password@host:port/0";
    read(settings, ["REDIS_URL", "REDIS_URL_FILE"], "redis", form)
}

fn read(
    settings: &mut Settings<'_>,
    names: [&'static str; 2],
    scheme: &str,
    form: &str,
) -> Option<PartUrl> {
    let text = settings.hidden(names).ok()??;
    // The text may hold a password, so no problem quotes it.
    let problem = match Url::parse(&text) {
        Err(error) => format!("is not a URL ({error})"),
        Ok(url) if url.scheme() != scheme => format!("begins with `{}:`", url.scheme()),
        Ok(url) if url.host_str().is_none_or(str::is_empty) => "names no host".to_owned(),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "has something after `?` or `#`, which nobody reads".to_owned()
        }
        Ok(url) => return Some(PartUrl(url)),
    };
    settings.problem(names[0], format!("{problem}; write it as {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, wanted: Result<&str, &str>) {
        let lookup = |name: &str| (name == "AMQP_URL").then(|| value.to_owned());
        let mut settings = Settings::new(&lookup);
        let url = queue(&mut settings);
        match wanted {
            Ok(place) => {
                let url = url.expect("this URL is taken");
                assert_eq!(url.place(), place);
                assert_eq!(format!("{url:?}"), place);
            }
            Err(part) => {
                assert!(url.is_none());
                let text = settings.problems[0].to_string();
                assert!(
                    text.starts_with("AMQP_URL ") && text.contains(part),
                    "{text}"
                );
                assert!(!text.contains("hidden"), "{text}");
            }
        }
    }

    #[test]
    fn an_address_is_taken_whole_or_refused_without_being_quoted() {
        check(
            "amqp://shop:hidden@127.0.0.1:5673/%2f",
            Ok("127.0.0.1:5673"),
        );
        check("amqp://broker", Ok("broker:5672"));
        check("shop:hidden@broker:5672", Err("begins with `shop:`"));
        check("amqps://shop:hidden@broker", Err("begins with `amqps:`"));
        check("amqp:/hidden", Err("names no host"));
        check("//hidden", Err("not a URL"));
        check("amqp://broker:hidden", Err("not a URL"));
        check("amqp://broker/%2f?password=hidden", Err("after `?`"));
    }
}
