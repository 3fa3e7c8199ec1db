//! Work that many ask for at once and that is done once.
//!
//! Invariant: for a name at most one piece of work is under way; when it is dropped unfinished, such as
//! when its caller went away, one of those who wait takes it up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Found;
use crate::http::error::ApiError;

type Landed = Option<Result<Found, ApiError>>;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<BTreeMap<String, watch::Receiver<Landed>>>);

impl Flights {
    /// The result of the work of this name: of that under way, or of this.
    pub(super) async fn once(
        self: Arc<Self>,
        name: String,
        work: impl Future<Output = Result<Found, ApiError>>,
    ) -> Result<Found, ApiError> {
        loop {
            let (sender, receiver) = watch::channel(None);
            let under_way = self.lock().get(&name).cloned();
            let Some(mut under_way) = under_way else {
                self.lock().insert(name.clone(), receiver);
                let flight = Flight {
                    flights: self,
                    name,
                };
                let landed = work.await;
                sender.send_replace(Some(landed.clone()));
                drop(flight);
                return landed;
            };
            if let Ok(landed) = under_way.wait_for(Option::is_some).await
                && let Some(landed) = landed.clone()
            {
                return landed;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Landed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Flight {
    flights: Arc<Flights>,
    name: String,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.name);
    }
}
