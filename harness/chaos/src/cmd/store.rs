//! The bundled store's roles: the only edge between the harness and `target-app`.

use chaos_record::exit;

use crate::output::Failure;

pub(super) fn store(role: &str) -> Result<u8, Failure> {
    target_app::run_blocking(role).map_err(|error| {
        Failure::environment(format!("run the store's role `{role}`: {error:#}"))
    })?;
    Ok(exit::HELD.code)
}
