//! The claim that an autoscaler makes more of a service in time.
//!
//! Invariant: the run can show it: the platform has autoscalers, the workload that one scales is known,
//! and the load lasts longer than the claim allows.

use std::time::Duration;

use super::Judge;
use crate::check::names;
use crate::diagnostic::{Span, codes, quote};
use crate::file::claim;
use crate::plan::{Expect, PlatformName};
use crate::units::duration_to_text;

impl Judge<'_> {
    pub(super) fn scale_out(&mut self, given: &claim::ScaleOut, span: Span) -> Option<Expect> {
        let stages = self.stages(&given.during, &given.except, span);
        let within = names::positive(&given.within, "`within`", self.problems);
        let service = self.reach.service(&given.service, self.problems).cloned();
        if !self.has_autoscalers(span) {
            return None;
        }
        if let Some(service) = &service {
            self.has_workload(service, given.service.span);
        }
        if let (Some(stages), Some(within)) = (&stages, within) {
            self.lasts_for(stages, within, given.within.span);
        }
        let to = match given.to.given() {
            None => None,
            Some(to) => Some(*to.get()?),
        };
        Some(Expect::ScaleOut {
            service: service?,
            to,
            within: within?,
            stages: stages?,
        })
    }

    fn has_autoscalers(&mut self, span: Span) -> bool {
        let has = self.platform == PlatformName::Kubernetes && !self.reach.is_url;
        if !has {
            let what =
                "nothing scales a service out by itself here: only Kubernetes has autoscalers";
            self.problems.add(
                codes::NO_AUTOSCALER
                    .at(span, what)
                    .help("run it with `--platform kubernetes`, or write `platform: kubernetes`"),
            );
        }
        has
    }

    fn has_workload(&mut self, service: &str, span: Span) {
        let role = self.reach.role(service);
        if role.is_some_and(|role| role.workload.is_none()) {
            let service = quote(service);
            let what = format!("which workload makes the pods of {service} is not known");
            self.problems
                .add(codes::NO_AUTOSCALER.at(span, what).help(format!(
                "give {service} `kubernetes: {{ workload: deployment/NAME }}` in the description"
            )));
        }
    }

    /// Time is not scaled for an autoscaler, so a shorter trial is let through.
    fn lasts_for(&mut self, stages: &[usize], within: Duration, span: Span) {
        let first = stages.first().copied().unwrap_or(0);
        let rest: Vec<usize> = (first..self.load.stages.as_ref().map_or(0, Vec::len)).collect();
        let length = self.load.length_of(&rest).filter(|_| !self.is_scaled);
        if let Some(length) = length.filter(|length| within > *length) {
            let message = format!(
                "the load is over {} after the first judged stage begins, so nobody could tell",
                duration_to_text(length)
            );
            self.problems.add(
                codes::OUT_OF_RANGE
                    .at(span, message)
                    .help("lengthen the stage, or claim a shorter time"),
            );
        }
    }
}
