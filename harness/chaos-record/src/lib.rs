//! What happened in a run, and whether it was good enough.
//!
//! A run is written as versioned JSON lines ([`line::Line`]) while it goes on. [`record::Record`] is
//! those lines added up, live or read back, and [`judge::judge`] is a pure function of it.
//!
//! Invariant: this room is pure. It opens no file and asks no clock; everything a verdict or a
//! report says comes from the record alone.

pub mod abort;
pub mod audit;
mod band;
mod binomial;
pub mod calibration;
mod consumption;
mod course;
pub mod event;
pub mod exit;
mod facts;
mod fixture;
mod fold;
mod forget;
pub mod health;
pub mod histogram;
pub mod hlog;
pub mod integrity;
pub mod judge;
mod life;
pub mod line;
pub mod live;
pub mod measured;
pub mod operation;
pub mod outcome;
pub mod planned;
pub mod poisson;
pub mod quantile;
pub mod record;
pub mod scaling;
pub mod search;
pub mod series;
mod slope;
pub mod steady;
mod sums;
pub mod usage;
pub mod verdict;
pub mod window;
pub mod words;

/// Length of a cell: exact counts are kept for each of these, by intended instant.
pub const CELL_NS: u64 = 100_000_000;
/// Length of a second-cell: response histograms are kept for each of these.
pub const SECOND_NS: u64 = 1_000_000_000;
