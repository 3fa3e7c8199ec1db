//! What the contract suite runs: the program of a target's services, and the hidden subcommands a
//! platform needs, in one executable.
//!
//! `serve PORT` answers `/ready`, `/` with its instance and pid, and `/call` with what the service
//! at `PEER` answers to `/`. With `CHILD` set it starts a child that does nothing.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::{env, fs, thread};

use chaos_platform::Platform;
use chaos_platform::local::wrapper::exec_wrapper;
use chaos_platform::local::{LocalConfig, LocalPlatform};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match run(env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "failed to {error}").ok();
            ExitCode::from(127)
        }
    }
}

fn run(mut words: Vec<OsString>) -> Result<(), Failure> {
    let word = |at: usize| {
        words
            .get(at)
            .and_then(|word| word.to_str())
            .unwrap_or_default()
            .to_owned()
    };
    match word(0).as_str() {
        "exec" => Err(exec_wrapper(word(2).parse()?, words.split_off(4)).into()),
        "proxy" => Ok(chaos_proxy::run_blocking()?),
        "serve" => serve(word(1).parse()?),
        "idle" => idle(),
        "harness" => harness(&word(1)),
        other => Err(format!("do `{other}`").into()),
    }
}

fn serve(port: u16) -> Result<(), Failure> {
    if env::var_os("CHILD").is_some() {
        Command::new(env::current_exe()?).arg("idle").spawn()?;
    }
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    writeln!(io::stdout(), "{} serves", name())?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream).ok());
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let body = match request.split(' ').nth(1) {
        Some("/ready" | "/") => name(),
        Some("/call") => called()?,
        _ => {
            return stream.write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn name() -> String {
    format!(
        "{} {}",
        env::var("CHAOS_INSTANCE").unwrap_or_default(),
        std::process::id()
    )
}

fn called() -> io::Result<String> {
    let peer = env::var("PEER").map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(peer)?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: peer\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.rsplit("\r\n").next().unwrap_or_default();
    Ok(format!("{}>{body}", name()))
}

/// Waits for an end that never comes.
fn idle() -> Result<(), Failure> {
    let (_keep, forever) = std::sync::mpsc::channel::<()>();
    Ok(forever.recv()?)
}

/// A harness that deploys the plan in `FOLDER/plan.json` and then does nothing.
fn harness(folder: &str) -> Result<(), Failure> {
    let plan = serde_json::from_slice(&fs::read(format!("{folder}/plan.json"))?)?;
    let mut platform = LocalPlatform::new(LocalConfig {
        plan: Arc::new(plan),
        run: env::var("HARNESS_RUN")?,
        work: format!("{folder}/work").into(),
        logs: folder.into(),
        chaos: env::current_exe()?,
        env: Vec::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        platform.deploy().await?;
        writeln!(io::stdout(), "up")?;
        std::future::pending::<Result<(), Failure>>().await
    })
}
