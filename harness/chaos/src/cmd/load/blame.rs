//! Whose fault: problems of the text that flags became, told as problems of those flags.
//!
//! Invariant: nobody sees a line, a place or a key of a scenario they did not write.

use std::fmt::Write;

use chaos_plan::check::SourceFile;
use chaos_plan::diagnostic::{Diagnostic, Diagnostics, Severity, codes};
use chaos_record::exit;

use crate::output::Failure;

/// What a line says that no flag is to blame for.
pub(super) const OURS: &str = "";

/// A text in which each line knows its flag.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    flags: Vec<&'static str>,
}

impl Text {
    pub(super) fn line(&mut self, flag: &'static str, line: &str) {
        writeln!(self.text, "{line}").expect("a text takes all");
        self.flags.push(flag);
    }

    pub(super) fn file(&self, name: &str) -> SourceFile {
        SourceFile {
            name: name.to_owned(),
            folder: String::new(),
            text: self.text.clone(),
        }
    }
}

/// The same form as all that is wrong with the command line.
pub(super) fn bad(flag: &str, message: &str, help: &str) -> Failure {
    Failure::new(exit::BAD_INPUT, told("error", flag, message, Some(help)))
}

fn told(word: &str, flag: &str, message: &str, help: Option<&str>) -> String {
    let help = help.map_or_else(String::new, |help| format!("\n  help: {help}"));
    format!("{word}: {flag}: {message}{help}")
}

/// A problem in words that name the flag; the texts in the order in which they were read.
pub(super) fn problem_told(texts: [&Text; 2], problem: &Diagnostic, all: &Diagnostics) -> String {
    let flag = problem.span.and_then(|span| {
        let place = all.place(span)?;
        let text = texts.get(span.file)?;
        text.flags.get(place.line.checked_sub(1)?).copied()
    });
    let word = match problem.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let flag = flag.filter(|flag| *flag != OURS).unwrap_or("the load");
    let help = help(problem, flag).or(problem.help.as_deref());
    told(word, flag, &message(problem, flag), help)
}

/// What the check says in the words of scenario files, said of flags.
fn message(problem: &Diagnostic, flag: &str) -> String {
    if flag == "URL" && problem.code == codes::BAD_FORMAT {
        let end = problem
            .message
            .find(": write")
            .unwrap_or(problem.message.len());
        return problem.message[..end].to_owned();
    }
    problem.message.clone()
}

fn help(problem: &Diagnostic, flag: &str) -> Option<&'static str> {
    match problem.code {
        codes::BAD_FORMAT if flag == "URL" => Some(
            "write `http://HOST:PORT/PATH?QUERY`, with spaces and other letters encoded, such as `%20`",
        ),
        codes::TOO_FEW if problem.label.is_some() => {
            Some("send more with --rate or --duration, or expect less")
        }
        codes::NEARLY_TOO_FEW => Some("send a little more with --rate or --duration"),
        codes::LOAD_TOO_LARGE => Some("lower --rate, or shorten --duration and --warmup"),
        codes::LIMIT_BEYOND_PATIENCE => Some("lower the limit, or raise --timeout or --patience"),
        codes::PATIENCE_BELOW_TIMEOUT => Some("make --patience at least as long as --timeout"),
        codes::STREAMS_WITHOUT_HTTP2 => Some("leave --streams out, or add --http2"),
        codes::INSECURE_WITHOUT_TLS => Some("leave --insecure out, or use an `https://` address"),
        codes::DUPLICATE_NAME => Some("expect each once"),
        codes::DUPLICATE_KEY => Some("give each header once"),
        _ => None,
    }
}
