//! `store ROLE`: one role of the store as a program of its own.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let role = std::env::args().nth(1).with_context(|| {
        format!(
            "usage: store ROLE, where ROLE is one of {}",
            target_app::roles().join(", ")
        )
    })?;
    target_app::run_blocking(&role)
}
