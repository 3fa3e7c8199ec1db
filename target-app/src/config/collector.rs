//! Where traces are sent to.
//!
//! Invariant: the address holds no password, so it may be printed.

use url::Url;

use super::settings::Settings;

const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// What follows the endpoint for traces (OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP").
const PATH: &str = "v1/traces";

/// The address traces are posted to (`OTEL_EXPORTER_OTLP_ENDPOINT`); not set: they are not sent.
pub(super) fn collector(settings: &mut Settings<'_>) -> Option<Url> {
    let text = settings.optional(NAME)?;
    // What is wrong may be that it holds a password, so no problem quotes it.
    let problem = match Url::parse(&text) {
        Err(error) => format!("is not a URL ({error})"),
        Ok(url) if url.scheme() != "http" => {
            format!(
                "begins with `{}:`, but a collector is only reached by http",
                url.scheme()
            )
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user or password, which a collector is not sent".to_owned()
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "has something after `?` or `#`".to_owned()
        }
        Ok(mut url) => {
            let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
            return Some(url);
        }
    };
    settings.problem(
        NAME,
        format!("{problem}; write it as http://127.0.0.1:4318"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, wanted: Result<&str, &str>) {
        let lookup = |name: &str| (name == NAME).then(|| value.to_owned());
        let mut settings = Settings::new(&lookup);
        let url = collector(&mut settings);
        let problem = settings.problems.first().map(ToString::to_string);
        match wanted {
            Ok(address) => assert_eq!(url.unwrap().as_str(), address),
            Err(part) => {
                let problem = problem.unwrap();
                assert!(
                    problem.starts_with(NAME) && problem.contains(part),
                    "{problem}"
                );
                assert!(url.is_none() && !problem.contains("hidden"), "{problem}");
            }
        }
    }

    #[test]
    fn an_endpoint_is_a_plain_address_to_which_the_path_is_added() {
        check(
            "http://127.0.0.1:4318",
            Ok("http://127.0.0.1:4318/v1/traces"),
        );
        check(
            "http://collector/otlp/",
            Ok("http://collector/otlp/v1/traces"),
        );
        check("https://collector", Err("only reached by http"));
        check("collector:4318", Err("begins with `collector:`"));
        check("//hidden", Err("not a URL"));
        check("http://me:hidden@collector", Err("user or password"));
        check("http://collector?key=hidden", Err("after `?`"));
    }
}
