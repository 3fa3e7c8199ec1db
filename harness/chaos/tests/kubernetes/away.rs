//! A way to the API server that can be shut: what a harness sees when the control plane is away.
//!
//! Invariant: while it is shut nothing passes, on connections that are open neither; it ends with the test.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

#[derive(Default)]
struct State {
    shut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A port of this machine that leads to the API server.
pub(crate) struct Way {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Way {
    /// Leads to `server`, `host:port`.
    pub(crate) fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !shared.shut.load(Ordering::SeqCst) {
                    // Whoever comes while the server does not answer is sent away.
                    drop(join(&shared, stream, &server));
                }
            }
        });
        Self { port, state }
    }

    /// Ends what is open and lets nobody through.
    pub(crate) fn shut(&self) {
        self.state.shut.store(true, Ordering::SeqCst);
        let mut open = self
            .state
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(crate) fn open(&self) {
        self.state.shut.store(false, Ordering::SeqCst);
    }
}

/// Carries bytes both ways until either side ends.
fn join(state: &State, client: TcpStream, server: &str) -> io::Result<()> {
    let upstream = TcpStream::connect(server)?;
    let ways = [
        (client.try_clone()?, upstream.try_clone()?),
        (upstream.try_clone()?, client.try_clone()?),
    ];
    let mut open = state.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.extend([client, upstream]);
    drop(open);
    for (mut from, mut to) in ways {
        thread::spawn(move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}
