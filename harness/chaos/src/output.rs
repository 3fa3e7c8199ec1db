//! The only place that prints: text for people on standard error, what was asked for on standard output.

use std::io::{IsTerminal, Write};

use chaos_record::exit::{self, ExitCode};

use crate::cli::{ColorChoice, Common};

/// How much is said, and in which colours.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub quiet: bool,
    pub verbose: u8,
    /// Whether text on standard error may be coloured.
    pub color: bool,
    /// Whether standard error is a terminal that can be redrawn.
    pub redraw: bool,
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

#[expect(clippy::unused_self, reason = "whoever prints must hold the output")]
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
        }
    }

    /// Characters that fit on a line of the terminal.
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
        let mut stderr = std::io::stderr().lock();
        drop(writeln!(stderr, "{text}").and_then(|()| stderr.flush()));
    }

    /// The same, unless told to be quiet.
    pub(crate) fn tell(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Control sequences and text without a line end.
    pub(crate) fn draw(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        drop(
            stderr
                .write_all(text.as_bytes())
                .and_then(|()| stderr.flush()),
        );
    }

    /// What was asked for. A reader that went away is no error.
    pub(crate) fn give(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        drop(write!(stdout, "{text}{end}").and_then(|()| stdout.flush()));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        self.say(failure.text.trim_end());
    }
}
