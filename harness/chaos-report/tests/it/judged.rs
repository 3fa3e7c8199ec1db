//! From the text of a record to every output, by way of the real verdict.

use chaos_record::judge::judge;
use chaos_record::record::Record;
use chaos_record::verdict::Verdict;
use chaos_report::Story;
use chaos_report::html::report_html;
use chaos_report::result::result_json;
use chaos_report::text::closing_block;

use crate::story::record;

fn read(text: &str) -> (Record, Verdict) {
    let record = Record::read(text.as_bytes()).expect("a record with a header");
    let verdict = judge(&record);
    (record, verdict)
}

fn story((record, verdict): &(Record, Verdict)) -> Story<'_> {
    Story {
        header: &record.header,
        events: &record.events,
        windows: &record.windows,
        verdict,
    }
}

#[test]
fn a_record_gives_the_same_bytes_however_often_it_is_read() {
    let text = record();
    let (first, again) = (read(&text), read(&text));
    assert_eq!(result_json(&story(&first)), result_json(&story(&again)));
    let page = report_html(&story(&first)).expect("a report");
    assert_eq!(page, report_html(&story(&again)).expect("a report"));
    assert!(
        first.1.incomplete_after.is_none() && first.1.conservation.exact,
        "{}",
        result_json(&story(&first))
    );
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("judged.html");
    std::fs::write(path, page).expect("the folder for tests takes a file");
}

#[test]
fn a_record_cut_anywhere_still_has_all_its_outputs() {
    let text = record();
    let lines: Vec<&str> = text.lines().collect();
    for keep in [1, 2, 6, 12, lines.len() - 2, lines.len() - 1] {
        let cut = read(&(lines[..keep].join("\n") + "\n"));
        let story = story(&cut);
        let page = report_html(&story).expect("a report");
        assert!(page.contains("The record is incomplete"), "{keep} lines");
        let closing = closing_block(&story, false, "report.html");
        assert!(closing.lines().count() <= 12, "{keep} lines: {closing}");
        assert!(
            result_json(&story).contains("\"outcome\": \"inconclusive\"")
                || result_json(&story).contains("\"outcome\": \"not-held\""),
            "{keep} lines"
        );
    }
}
