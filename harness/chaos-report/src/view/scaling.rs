//! What autoscalers made of the services.
//!
//! Invariant: a service that nobody claimed anything of and that stayed as it was is not shown.

use chaos_plan::plan::Expect;
use chaos_record::verdict::Scaling;

use super::Story;

/// Services whose autoscaler wanted more, or was claimed to, by name.
pub fn scaled<'a>(story: &Story<'a>) -> Vec<&'a Scaling> {
    let claims = &story.header.plan.claims;
    let is_claimed = |one: &Scaling| {
        claims.iter().any(|claim| {
            matches!(&claim.expect, Expect::ScaleOut { service, .. } if *service == one.service)
        })
    };
    let all = story.verdict.scaling.iter();
    all.filter(|one| !one.raises.is_empty() || is_claimed(one))
        .collect()
}
