//! What the contract suite runs: the program of a target's services, and the hidden subcommands a
//! platform needs, in one executable.
//!
//! `serve PORT` answers `/ready`, `/` with its instance and pid, and `/call` with what the service
//! at `PEER` answers to `/`; `/burn` uses a tenth of a second of a processor and `/hoard` 32 MiB that it
//! never gives back. With `CHILD` set it starts a child that does nothing. With `ERASE` set
//! both overwrite the environment they were started with.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use chaos_platform::Platform;
use chaos_platform::local::wrapper::exec_wrapper;
use chaos_platform::local::{LocalConfig, LocalPlatform};

/// What `/hoard` keeps.
static HOARD: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

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
        let child = Command::new(env::current_exe()?).arg("idle").spawn()?;
        writeln!(io::stdout(), "child {}", child.id())?;
    }
    if env::var_os("ERASE").is_some() {
        erase()?;
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
        Some("/burn") => burn(),
        Some("/hoard") => hoard(),
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

fn burn() -> String {
    let until = Instant::now() + Duration::from_millis(100);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    name()
}

fn hoard() -> String {
    let mut hoard = HOARD.lock().unwrap_or_else(PoisonError::into_inner);
    // Bounded; and written, so that it is resident.
    if hoard.len() < 4 {
        hoard.push(vec![1; 32 << 20]);
    }
    name()
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
    if env::var_os("ERASE").is_some() {
        erase()?;
    }
    let (_keep, forever) = std::sync::mpsc::channel::<()>();
    Ok(forever.recv()?)
}

/// Does to the environment what `setproctitle` does in many servers: its place in memory is used for
/// something else. Fields 50 and 51 of `/proc/self/stat` tell where it is.
fn erase() -> Result<(), Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let (start, end): (u64, u64) = (fields[50 - 3].parse()?, fields[51 - 3].parse()?);
    let title = vec![b' '; usize::try_from(end - start)?];
    let memory = fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
    Ok(memory.write_all_at(&title, start)?)
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
