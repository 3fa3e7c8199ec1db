//! The bundled store's roles and parts: the only edge between the harness and `target-app`.

use chaos_record::exit;

use crate::output::Failure;

pub(super) fn store(role: &str, words: Vec<String>) -> Result<u8, Failure> {
    if role == "part" {
        let error = target_app::become_part(words);
        let code = if error.exit_code() == exit::BAD_INPUT.code {
            exit::BAD_INPUT
        } else {
            exit::ENVIRONMENT
        };
        return Err(Failure::new(code, format!("error: failed to {error}")));
    }
    if role == "seed" {
        return match target_app::seed_blocking(words) {
            Ok(_) => Ok(exit::HELD.code),
            Err(error @ target_app::SeedError::Asked(_)) => Err(Failure::new(
                exit::BAD_INPUT,
                format!("error: failed to {error}"),
            )),
            Err(error) => Err(Failure::environment(error.to_string())),
        };
    }
    if let Some(word) = words.first() {
        let text = format!("error: the role `{role}` takes no words, and `{word}` is one");
        return Err(Failure::new(exit::BAD_INPUT, text));
    }
    target_app::run_blocking(role).map_err(|error| {
        Failure::environment(format!("run the store's role `{role}`: {error:#}"))
    })?;
    Ok(exit::HELD.code)
}
