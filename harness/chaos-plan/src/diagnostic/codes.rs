//! Every kind of problem there is, with a stable code.
//!
//! Invariant: a code is never reused for another meaning; people search for it and filter by it.
//! E10x is about YAML and schema, E12x about names, targets and templates, E14x about load and
//! journeys, E16x about faults, E18x about claims, W2xx are warnings.

use super::Severity;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// What is printed: `E105`.
    pub id: &'static str,
    pub severity: Severity,
    /// One line for `chaos explain`.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident $id:literal $severity:ident $meaning:literal)*) => {
        $(pub const $name: Code = Code { id: $id, severity: Severity::$severity, meaning: $meaning };)*

        /// Every code, in the order of this list.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    TOO_LARGE "E100" Error "The text is larger than 1 MiB, nests deeper than 64 levels or holds more than 100,000 values."
    SYNTAX "E101" Error "The text is not YAML."
    UNSUPPORTED_YAML "E102" Error "The text uses a part of YAML that is refused here: tags, merge keys, keys that are no plain text, several documents."
    DUPLICATE_KEY "E103" Error "A key stands twice in one mapping."
    BAD_SET "E104" Error "A `--set` names a place that does not exist, or its value cannot be read."
    UNKNOWN_KEY "E105" Error "A key means nothing here; unknown keys are never ignored."
    MISSING_KEY "E106" Error "A key that has no default is missing."
    WRONG_TYPE "E107" Error "A value is of another type than the key wants: text, number, list or mapping."
    BAD_FORMAT "E108" Error "A text does not have the form the key wants, such as a duration with its unit."
    BAD_CHOICE "E109" Error "A word is none of those the key takes."
    OUT_OF_RANGE "E110" Error "A number is too small or too large."
    ONE_OF "E111" Error "Of several keys exactly one must be given, or at most one."
    EMPTY "E112" Error "A list, mapping or text must not be empty."
    BAD_OPTION "E113" Error "An option of the command line is out of range."
    PARTS_OF_URL "E114" Error "Parts were given for a target that already runs."
    INTERNAL "E119" Error "The text passed every check and still could not be read: a bug in chaos."

    VERSION "E120" Error "The version of the file's format is not one this chaos knows."
    BAD_NAME "E121" Error "A name is not fit for paths and references: letters, digits, `-` and `_`, a letter first, at most 63."
    DUPLICATE_NAME "E122" Error "Two things of one kind have the same name."
    UNKNOWN_TARGET "E123" Error "No target description has this name or path."
    UNKNOWN_SERVICE "E124" Error "The target has no service of this name."
    PLATFORM "E125" Error "The platform is not built in yet."
    NO_PLATFORM_PART "E126" Error "A service, or a set of parts, does not say how it runs on the chosen platform."
    REPLICAS_OF_URL "E127" Error "Replicas were given for a target that already runs."
    UNKNOWN_SLOT "E128" Error "A `{slot}` of a template has no value here."
    NOT_CALLED "E129" Error "A template asks for the address of a service that `calls` does not list."
    BACKOFF "E130" Error "The longest back-off of a restart is shorter than the first."
    ENV_OF_URL "E131" Error "Environment was given for a target that already runs."
    UNKNOWN_STATE "E132" Error "An audit names a state that its `states` do not list."
    NO_FINAL_STATE "E133" Error "No state of the audit is final, so the target would never come to rest."
    NO_ORDERS "E134" Error "No source of the audit tells what was ordered, so no rule could be checked."
    HTTP_OF_APP "E135" Error "`http` or `insecure` was given for a target that chaos deploys."
    INSECURE_WITHOUT_TLS "E136" Error "`insecure` was given for an address without TLS."
    STREAMS_WITHOUT_HTTP2 "E137" Error "`streams` was given where HTTP/2 is never spoken."
    UNKNOWN_PARTS "E138" Error "The target has no set of parts of this name."
    NOT_RETURNED "E139" Error "`returned` of the audit names a state that an order leaves, or in which it is sold."

    GROUPS "E140" Error "There is more than one group of shoppers."
    ZERO_TIME "E141" Error "A time must be longer than zero."
    ZERO_RATE "E142" Error "A stage never sends anything."
    UNKNOWN_JOURNEY "E143" Error "No journey has this name."
    ZERO_WEIGHTS "E144" Error "The weights of all journeys are zero."
    LOAD_TOO_LARGE "E145" Error "The load is longer than 24 h or has more than 100 million journeys."
    MIXED_ROWS "E146" Error "The rows of a data list have different fields."
    CHECK_WITHOUT_EFFECT "E147" Error "A check of an answer checks nothing."
    MIXED_STAGES "E148" Error "Some stages give a rate and others a number of users."
    PACE "E149" Error "`cycle` or `arrivals` does not fit what the stages count."
    OPERATION_KEY "E150" Error "The key of an operation is not one of its own that the request carries."
    CSV "E151" Error "The CSV file of a data list cannot be read."
    SEARCH "E152" Error "A search for the breakpoint does not fit the rest of the scenario."

    FAULT_ON_URL "E160" Error "Faults need a target that chaos deploys; a `url:` target takes load only."
    UNKNOWN_STAGE "E161" Error "The load has no stage of this name."
    OUTSIDE_LOAD "E162" Error "A fault begins outside its stage or after the end of the load."
    NO_REFERENCE "E163" Error "A fault has less than 5 s of constant load before it in its stage, so nothing to compare with."
    NO_TIME_AFTER "E164" Error "The load ends before the recovery from a fault could be seen."
    NEEDS_LENGTH "E165" Error "A fault that lasts needs `for:`."
    HAS_NO_LENGTH "E166" Error "A one-shot fault has no length."
    UNKNOWN_FAULT "E167" Error "`after:` names a fault that does not exist."
    CYCLE "E168" Error "Faults wait for each other in a circle."
    OR_BY "E169" Error "`after:` and `or_by:` do not fit together."
    TOO_WIDE "E170" Error "A fault would hit more than the allowed share of a service's instances."
    OUTAGE "E171" Error "A fault would leave no healthy instance of a service."
    OVERLAP "E172" Error "Faults that overlap would together hit more of a service than allowed."
    TOO_MANY "E173" Error "A fault is to hit more instances than the service has."
    NEVER_UNDONE "E174" Error "A one-shot fault is never undone, so nothing can wait for that."
    NOT_ON_PLATFORM "E175" Error "The chosen platform cannot do this fault."
    NO_CHANGE "E176" Error "A fault would leave everything as it is."

    NO_CLAIM "E180" Error "The hypothesis claims nothing, so every run would pass."
    EMPTY_SCOPE "E181" Error "A claim is judged on no stage at all."
    NO_LIMIT "E182" Error "A claim names no limit."
    TOO_FEW "E183" Error "Too few requests are expected to judge a claim: fewer than 10 could be bad within what it allows."
    RECOVERY_WITHOUT_FAULT "E184" Error "A claim about what follows a fault, without any fault, holds whatever happens."
    UNKNOWN_ENDPOINT "E185" Error "A claim names a step that no journey of the load has, or that several have."
    NO_AUDIT "E186" Error "An integrity claim, and the target does not tell what would be judged."
    NO_OPERATION "E187" Error "An integrity claim, and no step of the load says what it acknowledges."
    NOT_MEASURED "E188" Error "What instances use cannot be seen of this target, or not on this platform."
    TOO_SHORT "E189" Error "The stages are too short for a slope to mean anything."
    NO_AUTOSCALER "E190" Error "A service is claimed to scale out, and no autoscaler of it could be seen."

    NO_QUESTION "W201" Warning "The scenario does not open with a comment that says which question it answers."
    PATIENCE_BELOW_TIMEOUT "W202" Warning "Patience ends before the timeout can, so the timeout never acts."
    NEARLY_TOO_FEW "W203" Warning "By chance a run may have too few requests to judge a claim."
    LIMIT_BEYOND_PATIENCE "W204" Warning "A latency limit is longer than patience: only failures can miss it."
    WITHIN_SECOND "W205" Warning "A stage ends within a second, and another stage follows."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_start_with_their_severity() {
        let ids: BTreeSet<&str> = ALL.iter().map(|code| code.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for code in ALL {
            let first = if code.severity == Severity::Error {
                'E'
            } else {
                'W'
            };
            assert!(
                code.id.starts_with(first) && code.meaning.ends_with('.'),
                "{}",
                code.id
            );
        }
    }
}
