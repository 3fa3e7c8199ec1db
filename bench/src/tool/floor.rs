//! The upper bound: one write and one read for each request, nothing parsed, nothing measured.
//!
//! Invariant: no work that a load generator could leave out; so nobody can be faster in this way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::{Ask, Reading, Tool, number_after};
use crate::process::Finished;
use crate::{output, words};

/// Looks at the clock are this many wake-ups apart, so that it costs nothing.
const WAKES_A_LOOK: u32 = 64;
/// As many events as one wake-up brings.
const EVENTS: usize = 512;
/// An answer of the null server fits many times.
const BUFFER: usize = 64 * 1024;

pub(crate) const TOOL: Tool = Tool {
    name: "floor: raw epoll, nothing measured",
    program: "bench",
    install: "",
    version: |_, _| Ok(String::new()),
    arguments: |_, ask| {
        let address = ask.url.trim_start_matches("http://").trim_end_matches('/');
        Ok(words![
            "floor-client",
            address,
            ask.connections,
            ask.seconds
        ])
    },
    also_accepts: &[],
    read,
};

fn read(finished: &Finished, _: &Ask) -> Result<Reading> {
    let rate = number_after(&finished.stdout, "requests/s").context("no line `requests/s`")?;
    Ok(Reading {
        requests_per_s: rate,
        ..Reading::default()
    })
}

/// The client itself, as a process that can be pinned: prints its rate.
pub(crate) fn run(address: SocketAddr, connections: usize, seconds: u64) -> Result<()> {
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut streams = Vec::with_capacity(connections);
    let mut buffer = vec![0; BUFFER];
    for number in 0..connections {
        let mut stream = TcpStream::connect(address).context("failed to connect")?;
        stream.set_nodelay(true)?;
        stream.write_all(&request)?;
        let read = stream.read(&mut buffer)?;
        ensure!(
            buffer[..read].starts_with(b"HTTP/1.1 200"),
            "the answer is not 200"
        );
        epoll::add(
            &epoll,
            &stream,
            EventData::new_u64(number as u64),
            EventFlags::IN,
        )?;
        streams.push(stream);
    }
    let began = Instant::now();
    for stream in &mut streams {
        stream.write_all(&request)?;
    }
    let answers = pump(
        &epoll,
        &mut streams,
        (&request, &mut buffer),
        began + Duration::from_secs(seconds),
    )?;
    output::result(&format!(
        "requests/s {:.1}",
        answers as f64 / began.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn pump(
    epoll: &std::os::fd::OwnedFd,
    streams: &mut [TcpStream],
    (request, buffer): (&[u8], &mut [u8]),
    end: Instant,
) -> Result<u64> {
    let patience = Timespec::try_from(Duration::from_millis(100))?;
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    let (mut answers, mut wakes) = (0, 0_u32);
    loop {
        events.clear();
        epoll::wait(epoll, spare_capacity(&mut events), Some(&patience))?;
        wakes = wakes.wrapping_add(1);
        if (wakes % WAKES_A_LOOK == 0 || events.is_empty()) && Instant::now() >= end {
            return Ok(answers);
        }
        for event in &events {
            let stream = &mut streams[usize::try_from(event.data.u64())?];
            ensure!(stream.read(buffer)? > 0, "the server closed a connection");
            answers += 1;
            stream.write_all(request)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_line_is_read() {
        let reading = crate::tool::captured(&TOOL, "requests/s 139001.5\n", None);
        assert!((reading.requests_per_s - 139_001.5).abs() < 1e-9);
    }

    #[test]
    fn a_server_that_refuses_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        });
        let error = run(address, 1, 1).unwrap_err();
        assert!(error.to_string().contains("not 200"), "{error}");
        server.join().unwrap();
    }
}
