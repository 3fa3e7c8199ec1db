//! A step whose answer promises something.
//!
//! Invariant: the key of an operation is another one in each journey and the request carries it,
//! so that what the target holds can be matched with what was sent.

use super::{Slots, UUID, check_slots, place_of};
use crate::diagnostic::{Diagnostics, Span, codes, quote};
use crate::file::journey as form;
use crate::file::located::Located;
use crate::plan::Acknowledges;
use crate::template::Template;

/// The operation a step is; `Some(None)` if it is none, `None` if it is bad.
#[expect(clippy::option_option, reason = "left out and bad are not the same")]
pub(super) fn resolve(
    step: &form::Step,
    slots: &Slots,
    problems: &mut Diagnostics,
) -> Option<Option<Acknowledges>> {
    let Some(given) = step.acknowledges.given() else {
        return Some(None);
    };
    let given = given.get()?;
    let key = key(step, &given.key, slots, problems);
    let amount = match given.amount.given() {
        None => None,
        Some(amount) => Some(place_of(amount.get()?)),
    };
    Some(Some(Acknowledges {
        key: key?,
        order: place_of(given.order.get()?),
        amount,
    }))
}

fn key(
    step: &form::Step,
    key: &Located<crate::file::format::Text<Template>>,
    slots: &Slots,
    problems: &mut Diagnostics,
) -> Option<Template> {
    let template = &key.get()?.0;
    check_slots(template, key.span, slots, problems);
    let is_own = |slot: &str| {
        slot.split_once('.').is_some_and(|(list, _)| list == UUID) || slots.extracted.contains(slot)
    };
    if template.slots().any(|slot| slot == UUID) {
        bad(
            key.span,
            "`{uuid}` is another one at each use, so the key would not be the one that is sent",
            "write `{uuid.purchase}` here and in the request: it is one value all through a journey",
            problems,
        );
    } else if template.slots().all(|slot| slots.provide(slot)) && !template.slots().any(is_own) {
        bad(
            key.span,
            "the key would be the same in several journeys",
            "use `{uuid.purchase}`, or a value that an earlier step extracts",
            problems,
        );
    } else if !is_sent(step, &template.to_string()) {
        bad(
            key.span,
            &format!(
                "the request does not carry {}",
                quote(&template.to_string())
            ),
            &format!("send it, such as `headers: {{ idempotency-key: \"{template}\" }}`"),
            problems,
        );
    }
    Some(template.clone())
}

fn bad(span: Span, message: &str, help: &str, problems: &mut Diagnostics) {
    problems.add(codes::OPERATION_KEY.at(span, message).help(help));
}

/// Whether the text of the key stands in path, headers or body; true where these are bad.
fn is_sent(step: &form::Step, key: &str) -> bool {
    let paths = [
        &step.get,
        &step.post,
        &step.put,
        &step.patch,
        &step.delete,
        &step.head,
    ];
    let in_path = paths
        .into_iter()
        .filter_map(|path| path.given())
        .any(|path| {
            path.get()
                .is_none_or(|path| path.0.0.to_string().contains(key))
        });
    let in_headers = step.headers.given().is_some_and(|headers| {
        headers.get().is_none_or(|headers| {
            headers.iter().any(|(_, value)| {
                value
                    .get()
                    .is_none_or(|value| value.0.to_string().contains(key))
            })
        })
    });
    let in_body = step.body.given().is_some_and(|body| {
        body.get()
            .is_none_or(|body| body.0.to_string().contains(key))
    });
    let in_json = step.json.given().is_some_and(|json| {
        json.get()
            .is_none_or(|json| json.0.to_string().contains(key))
    });
    in_path || in_headers || in_body || in_json
}
