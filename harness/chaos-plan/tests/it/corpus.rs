//! A corpus of broken inputs, one mistake each: what is said about them, word for word.
//!
//! An entry is a text that stands in a good file, and what it is replaced by.

use std::fmt::Write as _;

use chaos_plan::check::{Options, SourceFile, check_journey, check_target};
use chaos_plan::diagnostic::Diagnostics;
use chaos_plan::plan::PlatformName;

use crate::folder::Folder;

/// Good files that are broken here.
const SCENARIO: &str = "market-day.yaml";
const ADDRESS: &str = "address-good.yaml";
const STOPS: &str = "parts.yaml";
const RATES: &str = "good.yaml";
const TARGET: &str = "targets/market.yaml";
const WEB: &str = "targets/web.yaml";
const JOURNEY: &str = "journeys/purchase.yaml";
const TABLE: &str = "journeys/shoppers.csv";

/// File, what stands there, what is put in its place, and the code that is expected first of all.
type Broken = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SCENARIOS: [Broken; 63] = [
    (SCENARIO, "app: market", "app: [market", "E101"),
    (SCENARIO, "version: 1", "version: !!int 1", "E102"),
    (SCENARIO, "cycle: 1s", "cycle: 1s\n    cycle: 2s", "E103"),
    (SCENARIO, "cycle: 1s", "cyle: 1s", "E105"),
    (SCENARIO, "endpoint: purchase/check-out", "end_point: purchase/check-out", "E105"),
    (SCENARIO, "integrity: all", "integritty: all", "E105"),
    (SCENARIO, "app: market", "", "E107"),
    (SCENARIO, "name: come, for: 20s", "name: come", "E106"),
    (SCENARIO, "during: [stay] } }", "during: stay } }", "E107"),
    (SCENARIO, "users: 50 }", "users: fifty }", "E107"),
    (SCENARIO, "cycle: 1s", "cycle: 1", "E108"),
    (SCENARIO, "memory: 10MiB/h", "memory: 10MiB", "E108"),
    (SCENARIO, "descriptors: 5/h", "descriptors: 5/s", "E108"),
    (SCENARIO, "p95: 20ms/h", "p95: 20/h", "E108"),
    (SCENARIO, "at_least: 2/s", "at_least: 2", "E108"),
    (SCENARIO, "cpu: 70%", "cpu: 0.7", "E108"),
    (SCENARIO, "integrity: all", "integrity: al", "E108"),
    (SCENARIO, "integrity: all", "integrity: stock_conserved", "E108"),
    (SCENARIO, "stock_conserved", "stock_conservd", "E109"),
    (SCENARIO, "when: key", "when: keey", "E109"),
    (SCENARIO, "shape: linear", "shape: liner", "E109"),
    (SCENARIO, "users: 50 }", "users: 10001 }", "E110"),
    (SCENARIO, "cycle: 1s", "cycle: 1ms", "E110"),
    (SCENARIO, "min: 90%", "min: 0%", "E110"),
    (SCENARIO, "at_least: 2/s", "at_least: 0/s", "E110"),
    (SCENARIO, "users: 50 }", "users: 50, rate: 20/s }", "E111"),
    (SCENARIO, "users: 50 }", "shape: constant }", "E111"),
    (SCENARIO, "when: key", "when: key\n    at: stay + 10s", "E111"),
    (SCENARIO, "endpoint: log-in", "endpoint: log-in, journey: browse", "E111"),
    (SCENARIO, "[stock_conserved, acknowledged_is_stored]", "[]", "E112"),
    (SCENARIO, "acknowledged_is_stored", "stock_conserved", "E122"),
    (SCENARIO, "app: market", "app: markt", "E123"),
    (SCENARIO, "services: [front, api]", "services: [frnt, api]", "E124"),
    (SCENARIO, "cycle: 1s", "cycle: 0s", "E141"),
    (SCENARIO, "users: 50 }", "users: 0 }", "E142"),
    (SCENARIO, "journey: browse", "journey: brwse", "E143"),
    (SCENARIO, "users: 50 }", "rate: 50/s }", "E148"),
    (RATES, "journeys:", "cycle: 1s\n    journeys:", "E149"),
    (SCENARIO, "    or_by: stay + 40s\n", "", "E169"),
    (SCENARIO, "cpu: 70%, memory: 80%, ", "", "E182"),
    (SCENARIO, "memory: 10MiB/h, descriptors: 5/h, connections: 2.5/h, p95: 20ms/h, ", "", "E182"),
    (SCENARIO, "min: 90%, at_least: 2/s, ", "", "E182"),
    (SCENARIO, "max: 2%", "max: 0.1%", "E183"),
    (SCENARIO, "endpoint: purchase/check-out", "endpoint: purchase/check-uot", "E185"),
    (SCENARIO, "app: market", "app: shop", "E186"),
    (SCENARIO, "browse: 60, purchase: 40", "browse: 60", "E187"),
    (SCENARIO, "app: market", "url: http://127.0.0.1:8080", "E160"),
    (SCENARIO, "p95: 20ms/h, during: [stay]", "p95: 20ms/h, during: [come]", "E189"),
    (SCENARIO, "app: market", "app: market\n  http: 2", "E135"),
    (SCENARIO, "app: market", "app: market\n  insecure: true", "E135"),
    (SCENARIO, "cycle: 1s", "cycle: 1s\n    streams: 8", "E137"),
    (STOPS, "    for: 5s\n", "", "E165"),
    (STOPS, "restart: { service: api,", "restart: { service: apu,", "E124"),
    (STOPS, "restart: { service: api, pause_between: 2s }", "restart: { service: api, count: 2 }", "E105"),
    (STOPS, "restart: { service: api, pause_between: 2s } }", "restart: { service: api } }\n    for: 5s", "E166"),
    (STOPS, "restart: { service: api,", "restart: { service: db,", "E171"),
    (STOPS, "allow_outage: [disk]", "allow_outage: []", "E171"),
    (ADDRESS, "http: 2", "http: 3", "E108"),
    (ADDRESS, "insecure: true", "insecure: yes", "E107"),
    (ADDRESS, "connections: 100", "connections: 25001", "E110"),
    (ADDRESS, "streams: 8", "streams: 0", "E110"),
    (ADDRESS, "https://", "http://", "E136"),
    (ADDRESS, "http: 2", "http: 1", "E137"),
];

#[rustfmt::skip]
const PARTS: [Broken; 54] = [
    (WEB, "url: \"http", "service: web, url: \"http", "E111"),
    (WEB, "namespace: web", "namespace: Web", "E108"),
    (WEB, "namespace: web", "secrets: { web: { a: \"{b}\" } }", "E128"),
    (WEB, "namespace: web", "secrets: { Web: { a: b } }", "E121"),
    (WEB, "deployment/web-server", "pod/web-server", "E108"),
    (WEB, "deployment/web-server", "deployment/web_server", "E108"),
    (WEB, "port: 8080 }", "port: 0 }", "E110"),
    (WEB, "selector: { app: db }", "selector: {}", "E112"),
    (WEB, "selector: { app: db }", "selector: { app: db }, workload: statefulset/db", "E111"),
    (TARGET, "audit:\n", "audits:\n", "E105"),
    (TARGET, "quiet_within", "quiet_wihtin", "E105"),
    (TARGET, "  sold: done\n", "", "E106"),
    (TARGET, "holds: [charges]", "holds: charges", "E107"),
    (TARGET, "memory: 128MiB", "memory: 128", "E108"),
    (TARGET, "path: /audit, holds: [charges]", "path: audit, holds: [charges]", "E108"),
    (TARGET, "holds: [charges]", "holds: [charge]", "E109"),
    (TARGET, "cpu: 0.5", "cpu: 0", "E110"),
    (TARGET, "memory: 64MiB", "memory: 64B", "E110"),
    (TARGET, "holds: [charges]", "holds: []", "E112"),
    (TARGET, "service: bank", "service: api", "E122"),
    (TARGET, "service: bank", "service: bnak", "E124"),
    (TARGET, "{calls.bank}", "{calls.bnak}", "E129"),
    (TARGET, "pending: [paid, cancelled]", "pending: [payed, cancelled]", "E132"),
    (TARGET, "  sold: done\n", "  sold: dnoe\n", "E132"),
    (TARGET, "    returned: []\n    cancelled: []", "    returned: [paid]\n    cancelled: [paid]", "E133"),
    (TARGET, "holds: [orders, stock, deliveries]", "holds: [stock, deliveries]", "E134"),
    (TARGET, "quiet_within: 8s", "quiet_within: 0s", "E141"),
    (TARGET, "notified_within: 30s", "notified_within: 0s", "E141"),
    (TARGET, "notified_within: 30s", "notified_within: [30s]", "E107"),
    (TARGET, "  returned: [returned]", "  returned: [retruned]", "E132"),
    (TARGET, "  returned: [returned]", "  returned: [returning]", "E139"),
    (TARGET, "  returned: [returned]", "  returned: [done]", "E139"),
    (JOURNEY, "acknowledges:", "acknowleges:", "E105"),
    (JOURNEY, "      order: { json: /order_id }\n", "", "E106"),
    (JOURNEY, "{ csv: shoppers.csv }", "shoppers.csv", "E107"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ cvs: shoppers.csv }", "E105"),
    (JOURNEY, "order: { json: /order_id }", "order: { json: order_id }", "E108"),
    (JOURNEY, "order: { json: /order_id }", "order: {}", "E111"),
    (JOURNEY, "put: /a, ", "", "E111"),
    (JOURNEY, "{shopper.email}", "{shopper.mail}", "E128"),
    (JOURNEY, "key: \"{uuid.purchase}\"\n", "key: \"{uid.purchase}\"\n", "E128"),
    (JOURNEY, "key: \"{uuid.purchase}\"\n", "key: \"{uuid}\"\n", "E150"),
    (JOURNEY, "key: \"{uuid.purchase}\"\n", "key: \"{uuid.order}\"\n", "E150"),
    (JOURNEY, "key: \"{uuid.purchase}\"\n", "key: \"{product}\"\n", "E150"),
    (JOURNEY, "csv: shoppers.csv", "csv: shopers.csv", "E151"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ csv: shoppers.csv, popularity: { zipf: 5 } }", "E110"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ csv: shoppers.csv, popularity: { zipf: 0 } }", "E110"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ csv: shoppers.csv, popularity: { zip: 1 } }", "E105"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ csv: shoppers.csv, range: a-1..a-9 }", "E111"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ popularity: { zipf: 1 } }", "E111"),
    (JOURNEY, "{ csv: shoppers.csv }", "{ range: a-9..a-1 }", "E108"),
    (TABLE, ",one", ",one,two", "E151"),
    (TABLE, "email,password", "email,email", "E151"),
    (TABLE, "email,password", "e-mail address,password", "E151"),
];

/// The good files, one text of one of them replaced.
fn examine(broken: &Broken) -> Diagnostics {
    let (path, from, to, _) = broken;
    let folder = Folder::cases();
    let mut file: SourceFile = folder.read(path).expect("a good file");
    assert!(file.text.contains(from), "{from} stands in {path}");
    file.text = file.text.replacen(from, to, 1);
    match *path {
        TARGET => check_target(&file, PlatformName::Local),
        WEB => check_target(&file, PlatformName::Kubernetes),
        JOURNEY => check_journey(&file, &folder),
        TABLE => {
            let journey = folder.read(JOURNEY).expect("a journey");
            check_journey(&journey, &folder.with(TABLE, file.text))
        }
        _ => folder.examine(file, &Options::default()).diagnostics,
    }
}

/// Every entry with what is said about it.
pub(crate) fn all() -> Vec<(&'static Broken, Diagnostics)> {
    let all = SCENARIOS.iter().chain(&PARTS);
    all.map(|broken| (broken, examine(broken))).collect()
}

#[test]
fn every_broken_input_gives_what_the_snapshot_says() {
    let mut text = String::new();
    for ((path, from, to, code), said) in all() {
        let codes: Vec<&str> = said
            .problems
            .iter()
            .map(|problem| problem.code.id)
            .collect();
        assert!(
            codes.contains(code),
            "{from} -> {to}: {code} among {codes:?}\n{said}"
        );
        assert!(codes.len() <= 6, "{from} -> {to} gives {codes:?}");
        let (from, to) = (from.replace('\n', "\\n"), to.replace('\n', "\\n"));
        writeln!(text, "==== {path}: {from} -> {to}\n{said}").expect("text");
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../cases/expected", omit_expression => true }, {
        insta::assert_snapshot!("corpus", text);
    });
}

#[test]
fn every_diagnostic_has_a_place_a_reason_and_a_fix_in_eight_lines() {
    let all = all();
    assert!(all.len() >= 60);
    for (_, said) in &all {
        assert!(said.has_errors());
        for (problem, shown) in said.problems.iter().zip(said.render(false).split("\n\n")) {
            assert!(shown.lines().count() <= 8, "{shown}");
            assert!(problem.span.is_some(), "a place: {shown}");
            assert!(
                !problem.message.is_empty() && problem.help.is_some(),
                "a fix: {shown}"
            );
            assert!(
                shown.contains(problem.code.id)
                    && shown.contains("--> ")
                    && shown.contains("help: "),
                "{shown}"
            );
        }
    }
}
