//! Asks the target what it holds, by the audit contract.
//!
//! Invariant: only asks. An answer that is cut, too long or not understood is no reading at all, and
//! every wait is bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos_plan::plan::{Audit, AuditSource, Holding};
use chaos_platform::{Platform, PlatformError};
use chaos_record::audit::{AuditLine, Order};
use thiserror::Error;
use tokio::time::Instant;

/// The version of the contract that is understood.
const VERSION: u32 = 1;
/// Longest answer of one service.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most lines of it.
const ANSWER_LINES_MAX: usize = 1_000_000;
/// Limit of one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Between two readings that are to be alike.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a service that does not answer is asked again, within the wait for rest.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Why there is no reading; completes "failed to ...".
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum AuditError {
    #[error("ask `{service}` what it holds: {why}")]
    NoAnswer { service: String, why: String },
    #[error("understand line {line} of what `{service}` holds: {why}")]
    Line {
        service: String,
        line: usize,
        why: String,
    },
    #[error("read all that `{service}` holds: {why}")]
    NotWhole { service: String, why: String },
}

/// What every source answered, in the order of the description.
pub(crate) type Answers = Vec<(String, AuditLine)>;

/// A reading, and whether the target had come to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) answers: Answers,
    pub(crate) quiet: bool,
}

impl Read {
    pub(crate) fn orders(&self) -> u64 {
        orders(&self.answers).count() as u64
    }
}

/// One reading as it is now.
pub(crate) async fn read(platform: &dyn Platform, audit: &Audit) -> Result<Read, AuditError> {
    let answers = ask_all(platform, audit).await?;
    Ok(Read {
        answers,
        quiet: true,
    })
}

/// Reads until the target is at rest: every order sold or in a final state, two readings alike, and as long
/// as there is time every event of a sold order arrived.
pub(crate) async fn read_at_rest(
    platform: &dyn Platform,
    audit: &Audit,
) -> Result<Read, AuditError> {
    let deadline = Instant::now() + audit.quiet_within;
    let mut last = ask_until(platform, audit, deadline).await?;
    loop {
        tokio::time::sleep(PAUSE).await;
        let answers = ask_until(platform, audit, deadline).await?;
        let late = Instant::now() >= deadline;
        let seen = compare(last, answers, audit.clone()).await;
        if late || seen.is_final {
            return Ok(seen.read);
        }
        last = seen.read.answers;
    }
}

/// A reading beside the one before it.
struct Compared {
    read: Read,
    /// Nothing more is waited for.
    is_final: bool,
}

async fn compare(last: Answers, answers: Answers, audit: Audit) -> Compared {
    away(move || {
        let quiet = answers == last && all_at_rest(&answers, &audit);
        Compared {
            is_final: quiet && all_delivered(&answers, &audit),
            read: Read { answers, quiet },
        }
    })
    .await
}

/// Does what takes long with a million lines beside the loop, which has a lease to keep up.
async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
}

/// A service may just be starting again: asked until the deadline, at least once.
async fn ask_until(
    platform: &dyn Platform,
    audit: &Audit,
    deadline: Instant,
) -> Result<Answers, AuditError> {
    loop {
        match ask_all(platform, audit).await {
            Err(AuditError::NoAnswer { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn ask_all(platform: &dyn Platform, audit: &Audit) -> Result<Answers, AuditError> {
    let mut answers = Vec::new();
    for source in &audit.sources {
        answers.extend(ask(platform, source).await?);
    }
    Ok(answers)
}

async fn ask(platform: &dyn Platform, source: &AuditSource) -> Result<Answers, AuditError> {
    let no_answer = |why: String| AuditError::NoAnswer {
        service: source.service.clone(),
        why,
    };
    let asking = platform.get(&source.service, &source.path, ANSWER_BYTES_MAX);
    let bytes = tokio::time::timeout(ANSWER_LIMIT, asking)
        .await
        .map_err(|_| {
            no_answer(format!(
                "no whole answer within {} s",
                ANSWER_LIMIT.as_secs()
            ))
        })?
        .map_err(|error| match error {
            // It would name the service once more.
            PlatformError::NoAnswer { why, .. } => no_answer(why),
            other => no_answer(other.to_string()),
        })?;
    let service = source.service.clone();
    away(move || {
        let lines = parse(&service, &bytes)?;
        let lines = lines.into_iter().map(|line| (service.clone(), line));
        Ok(lines.collect())
    })
    .await
}

/// Every line; the first and the last vouch for version and number.
fn parse(service: &str, bytes: &[u8]) -> Result<Vec<AuditLine>, AuditError> {
    let not_whole = |why: &str| AuditError::NotWhole {
        service: service.to_owned(),
        why: why.to_owned(),
    };
    let mut lines = Vec::new();
    let texts = bytes.split(|byte| *byte == b'\n').zip(1..);
    for (text, line) in texts.filter(|(text, _)| !text.trim_ascii().is_empty()) {
        let parsed = serde_json::from_slice(text).map_err(|error| AuditError::Line {
            service: service.to_owned(),
            line,
            why: error.to_string(),
        })?;
        lines.push(parsed);
        if lines.len() > ANSWER_LINES_MAX {
            return Err(not_whole(&format!(
                "it has more than {ANSWER_LINES_MAX} lines"
            )));
        }
    }
    match lines.first() {
        Some(AuditLine::Audit(head)) if head.version == VERSION => {}
        Some(AuditLine::Audit(head)) => {
            return Err(not_whole(&format!(
                "it speaks version {} of the audit contract, this program version {VERSION}",
                head.version
            )));
        }
        _ => {
            return Err(not_whole(
                "its first line is not `{\"audit\":{\"version\":1}}`",
            ));
        }
    }
    let before_last = lines.len().saturating_sub(1);
    match lines.last() {
        Some(AuditLine::End(end)) if end.lines == before_last as u64 => {}
        Some(AuditLine::End(end)) => {
            return Err(not_whole(&format!(
                "its last line tells of {} lines, {before_last} came",
                end.lines
            )));
        }
        _ => {
            return Err(not_whole(
                "its last line, `{\"end\":...}`, is missing: the answer was cut",
            ));
        }
    }
    Ok(lines)
}

fn orders(answers: &Answers) -> impl Iterator<Item = &Order> {
    answers.iter().filter_map(|(_, line)| match line {
        AuditLine::Order(order) => Some(order),
        _ => None,
    })
}

fn all_at_rest(answers: &Answers, audit: &Audit) -> bool {
    orders(answers).all(|order| {
        order
            .states
            .last()
            .is_some_and(|state| audit.is_at_rest(state))
    })
}

fn all_delivered(answers: &Answers, audit: &Audit) -> bool {
    let delivered: BTreeSet<&str> = answers
        .iter()
        .filter_map(|(_, line)| match line {
            AuditLine::Delivery(delivery) => Some(delivery.order.as_str()),
            _ => None,
        })
        .collect();
    let was_sold = |order: &&Order| order.states.contains(&audit.sold);
    !audit.holds(Holding::Deliveries)
        || orders(answers)
            .filter(was_sold)
            .all(|order| delivered.contains(order.id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<usize, &str>) {
        let parsed = parse("api", text.as_bytes()).map(|lines| lines.len());
        match (parsed, expected) {
            (Ok(count), Ok(wanted)) => assert_eq!(count, wanted, "{text}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
            }
            (parsed, expected) => panic!("{parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn an_answer_is_whole_or_no_answer() {
        let head = r#"{"audit":{"version":1}}"#;
        let delivery = r#"{"delivery":{"order":"o-1"}}"#;
        check(
            &format!("{head}\n{delivery}\n{{\"end\":{{\"lines\":2}}}}\n"),
            Ok(3),
        );
        check(&format!("{head}\n{{\"end\":{{\"lines\":1}}}}"), Ok(2));
        check(&format!("{head}\n{delivery}\n"), Err("cut"));
        check(
            &format!("{head}\n{delivery}\n{{\"end\":{{\"lines\":3}}}}\n"),
            Err("tells of 3 lines, 2 came"),
        );
        check(
            &format!("{delivery}\n{{\"end\":{{\"lines\":1}}}}"),
            Err("first line"),
        );
        check(
            "{\"audit\":{\"version\":2}}\n{\"end\":{\"lines\":1}}",
            Err("version 2"),
        );
        check(&format!("{head}\n{{\"burn\":1}}\n"), Err("line 2"));
        check("", Err("first line"));
    }
}
