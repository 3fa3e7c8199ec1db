//! A finished record and its verdict to texts: `report.html`, `result.json`, what CI systems read,
//! terminal text, and a plan to words.
//!
//! Invariant: this room is pure. It opens no file, asks no clock and knows no path of the machine it
//! runs on, so the same record gives the same bytes anywhere. Every text that comes from outside
//! (scenario, journeys, logs, proofs) passes through [`clean`] before it reaches an output.

pub mod chart;
pub mod ci;
pub mod clean;
pub mod columns;
pub mod html;
pub mod load;
pub mod plan_text;
pub mod result;
pub mod text;
pub mod timeline;
pub mod view;
pub mod words;

pub use view::Story;
