//! Plans of loads for tests.
//!
//! Invariant: what stands here is a plan as the command makes it.

use chaos_plan::Plan;
use serde_json::json;

pub(crate) fn open() -> Plan {
    plan(
        "POST",
        "/items?page=1",
        &json!([
            { "name": "warmup", "start": "0s", "length": "2s", "level": { "rate": { "from": "5000/s", "to": "5000/s" } } },
            { "name": "load", "start": "2s", "length": "10s", "level": { "rate": { "from": "5000/s", "to": "5000/s" } } }
        ]),
    )
}

pub(crate) fn closed() -> Plan {
    let stages = json!([{ "name": "load", "start": "0s", "length": "10s", "level": { "users": { "from": 64, "to": 64 } } }]);
    plan("GET", "/", &stages)
}

fn plan(method: &str, path: &str, stages: &serde_json::Value) -> Plan {
    let model = if stages[0]["level"]["users"].is_null() {
        json!("open")
    } else {
        json!({ "closed": { "cycle": null } })
    };
    let plan = json!({
        "name": "load", "question": "q", "platform": "local", "seed": 1, "scale": { "time": 1.0, "rate": 1.0 },
        "target": { "url": "http://127.0.0.1:8080" },
        "load": {
            "name": "clients", "model": model, "arrivals": "even", "timeout": "5s", "patience": "10s", "connections": 64,
            "journeys": [{ "name": "request", "weight": 1.0, "data": {}, "steps": [{
                "name": "request", "method": method, "path": path, "headers": [], "body": null,
                "statuses": [{ "from": 200, "to": 299 }], "checks": [], "extract": {}, "think": "0s"
            }] }],
            "stages": stages
        },
        "faults": [], "claims": [],
        "safety": { "abort_if": null, "max_share": "50%", "allow_outage": [] },
        "source": { "path": "p", "text": "", "overrides": [] }
    });
    serde_json::from_value(plan).expect("the plan of the test is complete")
}
