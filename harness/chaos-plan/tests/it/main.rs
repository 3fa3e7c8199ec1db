//! Tests of the whole way from texts to a plan or to its problems.

mod bundled;
mod cases;
mod corpus;
mod folder;
mod limits;
mod mutations;
mod plans;
mod typos;
