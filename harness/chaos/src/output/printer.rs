//! Printing on a thread of its own, for the time of a run.
//!
//! Invariant: whoever prints never waits for a terminal or a reader that stands still. The queues are
//! bounded; what does not fit is dropped and counted, and the count is said at the end.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::refused::Noting;

/// Texts for people that may wait: some screens of lines.
const TEXTS_MAX: usize = 512;
/// Events that may wait on standard output.
const EVENTS_MAX: usize = 10_000;
/// Longest wait for a terminal at the end.
const TERMINAL_PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait for a reader of standard output that takes nothing at all.
const READER_PATIENCE: Duration = Duration::from_secs(10);

/// Two threads, one for each stream, so that neither waits for the other.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    /// Standard error: text for people.
    pub(super) texts: Stream,
    /// Standard output: what was asked for.
    pub(super) events: Stream,
}

impl Printer {
    /// Fails only if the machine refuses threads.
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self {
            texts: Stream::start(TEXTS_MAX, io::stderr)?,
            events: Stream::start(EVENTS_MAX, || Noting(io::stdout()))?,
        })
    }

    /// Waits until everything was printed, but not for a terminal or a reader that stands still.
    pub(super) fn settle(&self) {
        self.events.drained(READER_PATIENCE, None);
        let dropped = self.events.take_dropped();
        if dropped > 0 {
            self.texts.put(format!(
                "note: {dropped} events were not printed: nobody read standard output in time\n"
            ));
        }
        self.texts
            .drained(TERMINAL_PATIENCE, Some(TERMINAL_PATIENCE));
    }
}

/// A queue and the thread that prints what is in it.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    sender: SyncSender<String>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    printed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    handed: u64,
    printed: u64,
    dropped: u64,
    /// How much was printed when waiting was given up: without any more there is no second wait.
    given_up_at: Option<u64>,
}

impl Stream {
    fn start<W: Write>(room: usize, open: impl FnOnce() -> W + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(room);
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        // Nobody waits for its end: it may be writing to something that never takes it.
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || print_all(&receiver, &of_thread, open()))?;
        Ok(Self { sender, shared })
    }

    /// Hands over a text; false if there was no room for it.
    pub(super) fn put(&self, text: String) -> bool {
        let mut counts = self.shared.lock();
        let taken = self.sender.try_send(text).is_ok();
        if taken {
            counts.handed += 1;
        } else {
            counts.dropped += 1;
        }
        taken
    }

    /// Waits until all is printed: at most `still` without anything being printed, at most `limit` altogether.
    fn drained(&self, still: Duration, limit: Option<Duration>) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut counts = self.shared.lock();
        while counts.printed < counts.handed {
            if counts.given_up_at == Some(counts.printed) {
                return false;
            }
            let left = deadline.map_or(still, |deadline| {
                deadline
                    .saturating_duration_since(Instant::now())
                    .min(still)
            });
            let before = counts.printed;
            let waited = self
                .shared
                .printed
                .wait_timeout_while(counts, left, |counts| counts.printed == before);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            counts = now;
            if timeout.timed_out() {
                counts.given_up_at = Some(counts.printed);
                return false;
            }
        }
        true
    }

    fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.shared.lock().dropped)
    }
}

impl Shared {
    /// Never held while something is written.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print_all(texts: &Receiver<String>, shared: &Shared, mut to: impl Write) {
    for text in texts {
        // Neither a reader that went away nor a full disk is a reason to stop a run.
        drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
        shared.lock().printed += 1;
        shared.printed.notify_all();
    }
}

/// Log lines take the same way as all other text.
#[derive(Debug)]
pub(crate) struct LogLine(pub(super) Stream);

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing until it is let go.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error means that it is let go for good.
            self.0.recv().unwrap_or_default();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_holds_nobody_up_and_loses_are_counted() {
        let (let_go, wait) = sync_channel(0);
        let stream = Stream::start(2, move || Stuck(wait)).expect("a thread");
        // One may be taken out of the queue by the thread, which then is stuck with it.
        let taken = (0..10).filter(|i| stream.put(i.to_string())).count();
        assert!((2..=3).contains(&taken), "{taken}");
        assert!(!stream.drained(Duration::from_millis(20), None));
        assert_eq!(stream.take_dropped(), 10 - taken as u64);
        drop(let_go);
        stream.shared.lock().given_up_at = None;
        assert!(stream.drained(Duration::from_mins(1), None));
    }

    struct Kept(SyncSender<Vec<u8>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.try_send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_is_printed_in_order() {
        let (sender, receiver) = sync_channel(1_000);
        let stream = Stream::start(100, move || Kept(sender)).expect("a thread");
        assert!((0..100).all(|i| stream.put(format!("{i};"))));
        assert!(stream.drained(Duration::from_mins(1), None));
        let printed: Vec<String> = receiver
            .try_iter()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect();
        let expected: Vec<String> = (0..100).map(|i| format!("{i};")).collect();
        assert_eq!(printed, expected);
    }
}
