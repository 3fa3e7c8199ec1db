//! The run's response times as an HDR interval log, version 1.3, for `HdrHistogram`'s own tools.
//!
//! One interval a second, and of a load longer than an hour one for each piece of half a minute or more
//! ([`crate::window::Windows::piece_seconds`]): without a tag all requests together, tagged `journey` each journey as a
//! whole and `journey/step` each endpoint. Values are microseconds, by intended instants.
//! Invariant: it holds the answers as expected and nothing else: what failed has no finite response.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriter, IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use crate::facts::Facts;
use crate::histogram::{Sparse, new_histogram};
use crate::record::Record;

type Log<'w, 's, W> = IntervalLogWriter<'w, 's, W, V2DeflateSerializer>;

/// The column names, as `HistogramLogWriter` of the Java original writes them.
const LEGEND: &str =
    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"";

/// Writes the log of a whole record; an incomplete one gives the seconds it has.
pub fn write(record: &Record, mut out: impl Write) -> io::Result<()> {
    let facts = Facts::of(record);
    let service = if facts.is_paced() {
        "response times from intended instants"
    } else {
        "service times"
    };
    let mut head = IntervalLogWriterBuilder::new();
    head.add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!("[chaos run {}]", record.header.run))
        .add_comment(&format!(
            "[Values are microseconds: {service} of answers as expected]"
        ))
        .add_comment(&format!(
            "[{} requests that were bad have no value here]",
            record.sums.total.bad()
        ));
    if let Some(start) = load_start(&facts) {
        head.with_start_time(start).with_base_time(start);
    }
    let mut serializer = V2DeflateSerializer::new();
    head.begin_log_with(&mut out, &mut serializer)?;
    writeln!(out, "{LEGEND}")?;
    // The column for people is in milliseconds.
    let mut body = IntervalLogWriterBuilder::new();
    body.with_max_value_divisor(1_000.0);
    let mut log = body.begin_log_with(&mut out, &mut serializer)?;
    for (second, length, series) in record.windows.intervals() {
        let time = (Duration::from_secs(second), Duration::from_secs(length));
        let mut all = new_histogram();
        for (number, _) in record.series.iter().filter(|(_, one)| one.step.is_some()) {
            series
                .get(&number)
                .into_iter()
                .for_each(|part| part.add_to(&mut all));
        }
        interval(&mut log, time, None, &all)?;
        for (number, part) in series {
            if let Some(name) = tag(&facts, *number) {
                interval(&mut log, time, Some(&name), &dense(part))?;
            }
        }
    }
    Ok(())
}

fn interval<W: Write>(
    log: &mut Log<'_, '_, W>,
    (start, length): (Duration, Duration),
    name: Option<&str>,
    values: &Histogram<u64>,
) -> io::Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let tag = name.and_then(Tag::new);
    let written = log.write_histogram(values, start, length, tag);
    written.map_err(|error| match error {
        IntervalLogWriterError::IoError(error) => error,
        IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
    })
}

fn dense(part: &Sparse) -> Histogram<u64> {
    let mut histogram = new_histogram();
    part.add_to(&mut histogram);
    histogram
}

/// The wall-clock instant of the start of the load.
fn load_start(facts: &Facts<'_>) -> Option<SystemTime> {
    let run: jiff::Timestamp = facts.record.header.started.parse().ok()?;
    SystemTime::from(run).checked_add(Duration::from_nanos(facts.load_started?))
}

/// `journey` or `journey/step`, without what a tag may not hold; `None` for a series the plan does not know.
fn tag(facts: &Facts<'_>, number: usize) -> Option<String> {
    let series = facts.record.series.get(number)?;
    let journey = facts.plan.load.journeys.get(series.journey)?;
    let name = match series.step.and_then(|step| journey.steps.get(step)) {
        Some(step) => format!("{}/{}", journey.name, step.name),
        None => journey.name.clone(),
    };
    Some(name.replace(
        |letter: char| letter == ',' || letter.is_whitespace() || letter.is_control(),
        "_",
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::fixture::{Answer, MS, Run};

    /// Base64 (RFC 4648), as the log holds its histograms.
    fn decoded(text: &str) -> Vec<u8> {
        let value = |letter: u8| match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let letters: Vec<u8> = text
            .bytes()
            .filter(|letter| *letter != b'=')
            .map(value)
            .collect();
        let bytes = letters.chunks(4).flat_map(|four| {
            let word = four.iter().enumerate().fold(0_u32, |word, (i, bits)| {
                word | u32::from(*bits) << (18 - 6 * i)
            });
            word.to_be_bytes()[1..four.len()].to_vec()
        });
        bytes.collect()
    }

    fn log_of(record: &Record) -> String {
        let mut log = Vec::new();
        write(record, &mut log).expect("memory takes it");
        String::from_utf8(log).expect("it is text")
    }

    fn read_back(log: &str) -> BTreeMap<String, Histogram<u64>> {
        let mut sums: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
        let mut deserializer = Deserializer::new();
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            let LogEntry::Interval(interval) = entry.expect("a line it knows") else {
                continue;
            };
            assert_eq!(interval.duration(), Duration::from_secs(1));
            let bytes = decoded(interval.encoded_histogram());
            let part: Histogram<u64> = deserializer
                .deserialize(&mut bytes.as_slice())
                .expect("a histogram");
            let tag = interval.tag().map_or("", |tag| tag.as_str()).to_owned();
            sums.entry(tag)
                .or_insert_with(new_histogram)
                .add(part)
                .expect("one layout");
        }
        sums
    }

    fn varied() -> Record {
        let run = Run::kill().answer(|request| match request.number % 10 {
            9 => Answer::reset(),
            part => Answer::Ok((part * part + 1) * MS + request.number % 97 * 1_000),
        });
        run.record()
    }

    #[test]
    fn what_is_read_back_has_the_same_percentiles() {
        let record = varied();
        let sums = read_back(&log_of(&record));
        let names: Vec<&str> = sums.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["", "browse", "browse/list", "browse/look", "buy", "buy/pay"]
        );
        let facts = Facts::of(&record);
        let check = |tag: &str, series: Option<usize>| {
            let own = facts.responses(series, &(0..u64::MAX));
            let read = &sums[tag];
            assert_eq!(read.len(), own.len(), "{tag}");
            for quantile in [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                assert_eq!(
                    read.value_at_quantile(quantile),
                    own.value_at_quantile(quantile),
                    "{tag} {quantile}"
                );
            }
        };
        check("", None);
        check("browse/look", Some(record.series.of_step(0, 1)));
        check("buy", Some(record.series.of_journey(1)));
    }

    #[test]
    fn its_head_says_version_unit_and_start() {
        let log = log_of(&varied());
        let lines: Vec<&str> = log.lines().take(8).collect();
        assert_eq!(lines[0], "#[Histogram log format version 1.3]");
        assert!(lines[2].contains("microseconds"), "{}", lines[2]);
        // The load began one second into 2026.
        assert_eq!(
            lines[4],
            "#[StartTime: 1767225601.000 (seconds since epoch)]"
        );
        assert_eq!(
            lines[5],
            "#[BaseTime: 1767225601.000 (seconds since epoch)]"
        );
        assert_eq!(lines[6..], [LEGEND, "#[MaxValueDivisor: 1000.000]"]);
        let first = log.lines().nth(8).expect("an interval");
        assert!(first.starts_with("0.000,1.000,"), "{first}");
        assert!(
            log.lines()
                .any(|line| line.starts_with("Tag=browse/list,29.000,1.000,"))
        );
    }

    #[test]
    fn a_record_without_load_has_only_a_head() {
        let log = log_of(&Run::calm().header_only());
        assert_eq!(read_back(&log).len(), 0);
        assert!(log.contains("version 1.3"));
        assert!(log_of(&Run::kill().until_cell(50).record()).contains("Tag=buy"));
    }
}
