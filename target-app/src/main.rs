//! `store ROLE`: one role of the store as a program of its own. `store part NAME`: a server that it uses.
//! `store seed`: a full catalog.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let role = words.next().with_context(|| {
        format!(
            "usage: store ROLE, where ROLE is one of {}",
            target_app::roles().join(", ")
        )
    })?;
    if role == "part" {
        return Err(target_app::become_part(words)).context("failed to become the part");
    }
    if role == "seed" {
        return target_app::seed_blocking(words)
            .map(drop)
            .map_err(|error| anyhow::anyhow!("failed to {error}"));
    }
    target_app::run_blocking(&role)
}
