//! What a terminal shows: one line for an event, the live block, the last lines of a run.
//!
//! Invariant: nothing here moves a cursor, and no foreign text reaches a terminal before it is
//! clean. Without colour there is not a single escape character.

mod closing;
mod event;
mod live;
mod load;
mod paint;
mod sketch;

pub use self::closing::closing_block;
pub use self::event::{EventLines, event_text};
pub use self::live::{Glance, Live, block, status_line};
pub use self::load::{LoadLive, load_closing, load_opening, load_status_line};
