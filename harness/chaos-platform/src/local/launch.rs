//! Starts programs: with the mark, in a process group of their own, behind the wrapper.
//!
//! Programs get the environment of the harness and what the description adds: somebody's own programs
//! may need any of it (`PATH`, `HOME`, locale, proxies). The mark comes last and cannot be replaced.
//! Invariant: nothing is started without the mark. [`spawn`] must be called on the main thread (see
//! the wrapper), which a single-threaded runtime on the main thread ensures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;

use chaos_plan::plan::Service;
use chaos_plan::template::Template;
use tokio::process::{Child, Command};

use super::LocalConfig;
use super::group::{self, Group};
use super::mark;
use super::process::ProcessId;

/// A program with its arguments and what is added to its environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) words: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

/// What the slots of a description stand for in one life of one instance.
#[derive(Debug)]
pub(super) struct Slots<'a> {
    pub(super) port: u16,
    pub(super) instance: &'a str,
    /// `host:port` of each service it calls.
    pub(super) calls: &'a BTreeMap<String, String>,
    /// Folder of the service, shared by its instances.
    pub(super) data: &'a Path,
    pub(super) chaos: &'a Path,
    /// Folder of the description.
    pub(super) here: &'a Path,
}

impl Slots<'_> {
    fn value(&self, slot: &str) -> Option<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match slot {
            "port" => Some(self.port.to_string()),
            "address" => Some(format!("127.0.0.1:{}", self.port)),
            "instance" => Some(self.instance.to_owned()),
            "data" => Some(text(self.data)),
            "chaos" => Some(text(self.chaos)),
            "here" => Some(text(self.here)),
            _ => self.calls.get(slot.strip_prefix("calls.")?).cloned(),
        }
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let template = Template::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
        template
            .fill(|slot| self.value(slot))
            .map_err(|slot| format!("`{text}`: there is no `{{{slot}}}` here"))
    }

    /// The program of a service with every slot filled in.
    pub(super) fn program(&self, service: &Service) -> Result<Program, String> {
        let words = service
            .command
            .iter()
            .map(|word| self.fill(word))
            .collect::<Result<_, _>>()?;
        let filled = |(name, value): (&String, &String)| Ok((name.clone(), self.fill(value)?));
        let env = service
            .env
            .iter()
            .map(filled)
            .collect::<Result<_, String>>()?;
        Ok(Program { words, env })
    }
}

/// Where the standard streams of a program go; its standard error always goes to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    /// No input, output to the log.
    Log,
    /// Input and output are pipes to us.
    Pipes,
}

/// Starts a program under the name of an instance.
pub(super) fn spawn(
    config: &LocalConfig,
    instance: &str,
    program: &Program,
    streams: Streams,
    log: File,
) -> io::Result<(Child, ProcessId)> {
    let (input, output) = match streams {
        Streams::Log => (Stdio::null(), Stdio::from(log.try_clone()?)),
        Streams::Pipes => (Stdio::piped(), Stdio::piped()),
    };
    let mut child = Command::new(&config.chaos)
        .args(["exec", "--parent", &std::process::id().to_string(), "--"])
        .args(&program.words)
        .envs(config.env.iter().map(|(name, value)| (name, value)))
        .envs(&program.env)
        .env(mark::RUN, &config.run)
        .env(mark::INSTANCE, instance)
        .process_group(0)
        .stdin(input)
        .stdout(output)
        .stderr(log)
        .spawn()
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("`{}`: {error}", config.chaos.display()),
            )
        })?;
    // Not waited for yet, so the number is still its own, even if it has ended.
    let identified = child
        .id()
        .ok_or_else(|| io::ErrorKind::NotFound.into())
        .and_then(ProcessId::of);
    match identified {
        Ok(process) => {
            list(config, instance, &process);
            Ok((child, process))
        }
        Err(error) => {
            child.start_kill()?;
            Err(error)
        }
    }
}

/// The list is the second way to find a process again, so a full disk does not keep it from starting.
fn list(config: &LocalConfig, instance: &str, process: &ProcessId) {
    let listed =
        Group::led_by(process).and_then(|group| group::list(&config.work, instance, &group));
    if let Err(source) = listed {
        tracing::warn!(%source, instance, "failed to list the group of {process}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let calls = BTreeMap::from([("db".to_owned(), "127.0.0.1:9".to_owned())]);
        let slots = Slots {
            port: 80,
            instance: "api-1",
            calls: &calls,
            data: Path::new("/d"),
            chaos: Path::new("/c"),
            here: Path::new("/h"),
        };
        let filled = slots.fill(text);
        assert_eq!(filled.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn every_slot_has_its_value() {
        check("{port} {address} {instance}", Ok("80 127.0.0.1:80 api-1"));
        check("{data}/x {chaos} {here}", Ok("/d/x /c /h"));
        check("http://{calls.db}/{{}}", Ok("http://127.0.0.1:9/{}"));
        check(
            "{calls.front}",
            Err("`{calls.front}`: there is no `{calls.front}` here"),
        );
        check("{db}", Err("`{db}`: there is no `{db}` here"));
    }
}
