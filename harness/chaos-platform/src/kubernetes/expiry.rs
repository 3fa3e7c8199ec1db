//! Whether the credentials outlive the run: nothing could be taken back with ones that ended in the middle.
//!
//! Invariant: pure but for the file of a certificate. What renews itself (a plugin, a file with a token) is
//! not asked; what cannot be read is left to the API server; no credential stands in an error.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chaos_plan::units::duration_to_text;
use jiff::Timestamp;
use kube::config::Kubeconfig;
use serde_json::Value;
use x509_parser::pem::Pem;

use super::RESTORED_WITHIN;
use crate::platform::PlatformError;

/// Refuses credentials that end before a run is over whose load lasts for `load`.
pub(super) fn check(
    kubeconfig: &Kubeconfig,
    context: &str,
    load: Duration,
) -> Result<(), PlatformError> {
    let Some(user) = user(kubeconfig, context) else {
        return Ok(());
    };
    let ends = ends(&user).into_iter().min_by_key(|(_, end)| *end);
    let why = ends.and_then(|(what, end)| too_soon(what, end, (Timestamp::now(), load)));
    why.map_or(Ok(()), |why| {
        Err(PlatformError::Cluster {
            act: format!("begin with the credentials of context `{context}`"),
            why,
        })
    })
}

/// What stands in the kubeconfig for the user of a context.
fn user(kubeconfig: &Kubeconfig, context: &str) -> Option<Value> {
    let mut contexts = kubeconfig.contexts.iter();
    let named = contexts.find(|named| named.name == context)?;
    let user = named.context.as_ref()?.user.as_ref()?;
    let mut users = kubeconfig.auth_infos.iter();
    let found = users.find(|named| named.name == *user)?;
    serde_json::to_value(found.auth_info.as_ref()?).ok()
}

/// Each credential that has an end and is not renewed.
fn ends(user: &Value) -> Vec<(&'static str, Timestamp)> {
    let text = |key: &str| user.get(key).and_then(Value::as_str);
    let token = text("token").filter(|_| text("tokenFile").is_none());
    let token = token.and_then(token_end).map(|end| ("token", end));
    let pem = match (text("client-certificate-data"), text("client-certificate")) {
        (Some(data), _) => STANDARD.decode(data).ok(),
        (None, Some(path)) => std::fs::read(path).ok(),
        (None, None) => None,
    };
    let certificate = pem.and_then(|pem| certificate_end(&pem));
    let certificate = certificate.map(|end| ("client certificate", end));
    token.into_iter().chain(certificate).collect()
}

/// `exp` of a JWT (RFC 7519 section 4.1.4); any other token has no end that can be seen.
fn token_end(token: &str) -> Option<Timestamp> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let end = claims.get("exp")?;
    let seconds = end.as_i64().or_else(|| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a part of a second is not of interest"
        )]
        end.as_f64().map(|seconds| seconds as i64)
    })?;
    Timestamp::from_second(seconds).ok()
}

/// `notAfter` of the first certificate (RFC 5280 section 4.1.2.5), which is the client's own.
fn certificate_end(pem: &[u8]) -> Option<Timestamp> {
    let first = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = first.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// Why something that ends at `end` is no good for a load of that length that begins now.
fn too_soon(what: &str, end: Timestamp, (now, load): (Timestamp, Duration)) -> Option<String> {
    let needed = load + RESTORED_WITHIN;
    let Ok(left) = Duration::try_from(end.duration_since(now)) else {
        return Some(format!("its {what} has expired at {end:.0}; get a new one"));
    };
    (left < needed).then(|| {
        format!(
            "its {what} expires at {end:.0}, in {}, and the run may need it for {}; get one that lasts longer",
            duration_to_text(Duration::from_secs(left.as_secs())),
            duration_to_text(Duration::from_secs(needed.as_secs() + 1)),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Self-signed for the tests with `openssl req -x509`; ends 2036-11-19T00:41:28Z.
    const CERTIFICATE: &str = include_str!("expiry/test-certificate.pem");

    fn token(exp: &Value) -> String {
        let claims = URL_SAFE_NO_PAD.encode(json!({ "sub": "me", "exp": exp }).to_string());
        format!("e30.{claims}.c2ln")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn the_end_of_a_token_and_of_a_certificate_is_read() {
        let end = at("2026-11-22T10:00:00Z");
        for exp in [json!(end.as_second()), json!(1_795_341_600.5)] {
            let user = json!({ "token": token(&exp) });
            assert_eq!(ends(&user), [("token", end)], "{exp}");
        }
        let data = STANDARD.encode(CERTIFICATE);
        let found = ends(&json!({ "client-certificate-data": data }));
        assert_eq!(found, [("client certificate", at("2036-11-19T00:41:28Z"))]);
    }

    #[test]
    fn what_renews_itself_or_has_no_end_is_not_asked() {
        let renewed = json!({ "token": token(&json!(1)), "tokenFile": "/run/token" });
        for user in [
            renewed,
            json!({ "token": "s3cret" }),
            json!({ "exec": {} }),
            json!({}),
        ] {
            assert_eq!(ends(&user), [], "{user}");
        }
    }

    #[test]
    fn credentials_must_last_for_the_load_and_its_undo() {
        let now = at("2026-11-22T10:00:00Z");
        let load = Duration::from_mins(10);
        let check = |end: &str| too_soon("token", at(end), (now, load));
        assert_eq!(check("2026-11-22T10:12:00Z"), None);
        let soon = check("2026-11-22T10:11:00Z").expect("too soon");
        assert!(
            soon.contains("expires at 2026-11-22T10:11:00Z, in 11m"),
            "{soon}"
        );
        let over = check("2026-11-22T09:00:00Z").expect("over");
        assert!(over.contains("has expired"), "{over}");
    }

    #[test]
    fn a_refusal_names_the_context_and_no_credential() {
        let token = token(&json!(1_000));
        let text = format!(
            r#"{{ "contexts": [{{ "name": "test", "context": {{ "cluster": "c", "user": "me" }} }}],
                "users": [{{ "name": "me", "user": {{ "token": "{token}" }} }}] }}"#
        );
        let kubeconfig = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
        let error = check(&kubeconfig, "test", Duration::ZERO).expect_err("expired");
        let text = error.to_string();
        assert!(
            text.contains("context `test`") && !text.contains(&token),
            "{text}"
        );
        assert!(check(&kubeconfig, "other", Duration::ZERO).is_ok());
    }
}
