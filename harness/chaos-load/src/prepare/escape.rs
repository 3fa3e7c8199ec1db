//! How a value is written into the place it is put.
//!
//! Invariant: whatever the value holds, what is written cannot end the part of the path or the
//! JSON string it stands in.

/// Percent-encodes all but the unreserved characters of RFC 3986: fit for a path segment and for a query.
pub(super) fn component(value: &str, into: &mut String) {
    percent_encode(value, into, |byte| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
    });
}

/// Percent-encodes only what may stand nowhere in a URI: for a value that is a path with a query itself.
pub(super) fn reference(value: &str, into: &mut String) {
    percent_encode(value, into, |byte| {
        byte.is_ascii_graphic() && !b"\"#<>[\\]^`{|}".contains(&byte)
    });
}

/// Escapes as inside a JSON string (RFC 8259 section 7), without the quotes around it.
pub(super) fn json(value: &str, into: &mut String) {
    let quoted = serde_json::Value::from(value).to_string();
    into.push_str(&quoted[1..quoted.len() - 1]);
}

pub(super) fn raw(value: &str, into: &mut String) {
    into.push_str(value);
}

fn percent_encode(value: &str, into: &mut String, keeps: impl Fn(u8) -> bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if keeps(byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(DIGITS[usize::from(byte >> 4)]));
            into.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use proptest::prelude::*;

    use super::*;

    fn written(escape: fn(&str, &mut String), value: &str) -> String {
        let mut text = String::new();
        escape(value, &mut text);
        text
    }

    proptest! {
        #[test]
        fn any_value_fits_a_segment(value in "\\PC*") {
            let uri: Uri = format!("/a/{}/b", written(component, &value)).parse().expect("a URI");
            prop_assert_eq!(uri.path().split('/').count(), 4);
            prop_assert_eq!(uri.query(), None);
        }

        #[test]
        fn any_value_fits_a_json_string(value: String) {
            let text = format!("\"{}\"", written(json, &value));
            prop_assert_eq!(serde_json::from_str::<String>(&text).expect("a JSON string"), value);
        }

        #[test]
        fn any_reference_is_a_uri(value in "/\\PC*") {
            prop_assert!(written(reference, &value).parse::<Uri>().is_ok());
        }
    }
}
