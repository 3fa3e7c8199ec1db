//! How often a request allocates, counted by the allocator of this program.
//!
//! The figure depends neither on the machine nor on what else runs on it, so it finds what a
//! stop-watch on a busy machine cannot.

#![expect(
    unsafe_code,
    reason = "the trait of allocators is unsafe; this one counts and passes everything on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chaos_load::{Address, Engine, EngineConfig, EngineEvent, FaultClock, clock};
use chaos_plan::Plan;
use chaos_plan::plan::Extract;
use chaos_record::window::Windows;
use chaos_testkit::plan::{PlanBuilder, get};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"id\":\"abcd\"}";

/// A server that allocates nothing for a request.
fn serve() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || answer_all(stream));
        }
    });
    url
}

fn answer_all(mut stream: TcpStream) {
    let mut request = [0; 4_096];
    while matches!(stream.read(&mut request), Ok(1..)) && stream.write_all(ANSWER).is_ok() {}
}

/// Requests and allocations of a load.
async fn cost(plan: Plan, url: &str) -> (u64, u64) {
    let config = EngineConfig {
        plan: Arc::new(plan),
        address: Address::resolve(url).expect("an address"),
        workers: 1,
        start_ns: clock::now_ns(),
        faults: Arc::new(FaultClock::new(0)),
        operations: None,
    };
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut engine = Engine::start(config).expect("an engine");
    let mut windows = Windows::default();
    while let Some(event) = engine.next().await {
        if let EngineEvent::Delta(delta) = event {
            windows.add(&delta);
        }
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let counts = windows.sum(0, u64::MAX, |series| series > 0).counts;
    assert_eq!(counts.ok, counts.total(), "{counts:?}");
    (counts.ok, allocations)
}

/// Asserts what one more request costs: the difference between a long load and a short one, so that
/// connections and tables do not count.
async fn check(plan: impl Fn(f64) -> Plan, most: f64) {
    let url = serve();
    let short = cost(plan(0.3), &url).await;
    let long = cost(plan(1.5), &url).await;
    let each = (long.1 as f64 - short.1 as f64) / (long.0 as f64 - short.0 as f64);
    assert!(
        long.0 > 2 * short.0 && long.0 >= 2_000,
        "too few to tell: {short:?}, {long:?}"
    );
    assert!(
        each <= most,
        "{each:.2} allocations a request, at most {most}: {short:?}, {long:?}"
    );
}

#[tokio::test]
async fn a_request_allocates_next_to_nothing() {
    let users = |seconds| {
        let plan = PlanBuilder::new()
            .traceparent()
            .users("s", seconds, 4)
            .limit_ms(200);
        plan.journey("j", 1.0, vec![get("g", "/")]).build()
    };
    check(users, 0.5).await;
    let arrivals = |seconds| {
        // Kept, so that a busy machine, on which more would be opened, does not count.
        let plan = PlanBuilder::new().connections(16);
        let plan = plan.stage("s", seconds, 2_000.0).limit_ms(200);
        plan.journey("j", 1.0, vec![get("g", "/")]).build()
    };
    check(arrivals, 0.5).await;
    let steps = |seconds| {
        let mut first = get("first", "/a");
        let id = Extract::Json("/id".to_owned());
        first.extract.insert("id".to_owned(), id);
        let steps = vec![first, get("second", "/b/{id}"), get("third", "/c/{id}")];
        let plan = PlanBuilder::new()
            .traceparent()
            .users("s", seconds, 4)
            .limit_ms(200);
        plan.journey("j", 1.0, steps).build()
    };
    check(steps, 3.3).await;
}
