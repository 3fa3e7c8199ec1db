//! The only place that prints: text for people on standard error, what was asked for on standard output.
//!
//! Invariant: during a run nothing here blocks (see [`printer`]); otherwise everything is printed.

mod printer;
pub(crate) mod refused;

use std::io::{IsTerminal, Write};

use chaos_record::exit::{self, ExitCode};
use chaos_report::ci::inert_line;

use crate::cli::{ColorChoice, Common};

use printer::{LogLine, Printer};

/// How much is said, and in which colours.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub quiet: bool,
    pub verbose: u8,
    /// Whether text on standard error may be coloured.
    pub color: bool,
    /// Whether standard error is a terminal that can be redrawn.
    pub redraw: bool,
    /// Whether what is printed is read for workflow commands (GitHub Actions).
    pub actions: bool,
    /// Present for a run.
    printer: Option<Printer>,
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub code: ExitCode,
    /// Printed as it stands; may have several lines.
    pub text: String,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The machine or its set-up is in the way; `error` completes "failed to ...".
    #[expect(
        clippy::needless_pass_by_value,
        reason = "errors are handed over by `map_err`"
    )]
    pub(crate) fn environment(error: impl ToString) -> Self {
        Self::new(
            exit::ENVIRONMENT,
            format!("error: failed to {}", error.to_string()),
        )
    }
}

impl Output {
    pub(crate) fn new(common: &Common) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match common.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !set("NO_COLOR") && (set("CLICOLOR_FORCE") || terminal && !dumb),
        };
        Self {
            quiet: common.quiet,
            verbose: common.verbose,
            color,
            redraw: terminal && !dumb && !set("CI"),
            actions: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            printer: None,
        }
    }

    /// The same, for a run: whoever prints must not wait for a terminal that stands still, or the
    /// lease that the guardian watches would end.
    pub(crate) fn never_waiting(self) -> Result<Self, Failure> {
        let printer = Printer::start().map_err(|error| {
            Failure::environment(format!("start a thread that prints: {error}"))
        })?;
        Ok(Self {
            printer: Some(printer),
            ..self
        })
    }

    /// Waits until everything was printed, as far as somebody reads it.
    pub(crate) fn settle(&self) {
        if let Some(printer) = &self.printer {
            printer.settle();
        }
    }

    /// Where log lines go.
    pub(crate) fn log_line(&self) -> Box<dyn Write> {
        match &self.printer {
            Some(printer) => Box::new(LogLine(printer.texts.clone())),
            None => Box::new(std::io::stderr()),
        }
    }

    /// Characters that fit on a line of the terminal.
    #[expect(clippy::unused_self, reason = "whoever prints must hold the output")]
    pub(crate) fn width(&self) -> usize {
        let columns =
            rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        if columns == 0 {
            80
        } else {
            usize::from(columns)
        }
    }

    /// Text for people. A closed terminal is no reason to stop a run.
    pub(crate) fn say(&self, text: &str) {
        if self.actions {
            let lines: Vec<String> = text.lines().map(inert_line).collect();
            self.command(&lines.join("\n"));
        } else {
            self.command(text);
        }
    }

    /// Text that may be a command of the CI that reads it: never holds foreign text as it came.
    pub(crate) fn command(&self, text: &str) {
        self.draw(&format!("{text}\n"));
    }

    /// The same, unless told to be quiet.
    pub(crate) fn tell(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Control sequences and text without a line end; false if there was no room for it.
    pub(crate) fn draw(&self, text: &str) -> bool {
        if let Some(printer) = &self.printer {
            return printer.texts.put(text.to_owned());
        }
        let mut stderr = std::io::stderr().lock();
        drop(
            stderr
                .write_all(text.as_bytes())
                .and_then(|()| stderr.flush()),
        );
        true
    }

    /// What was asked for. A reader that went away is no error.
    pub(crate) fn give(&self, text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        if let Some(printer) = &self.printer {
            printer.events.put(format!("{text}{end}"));
            return;
        }
        let mut stdout = refused::Noting(std::io::stdout().lock());
        // A refusal is remembered and said at the end.
        drop(write!(stdout, "{text}{end}").and_then(|()| stdout.flush()));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        self.say(failure.text.trim_end());
    }
}
