//! A server that does nothing: what the engine and this machine can reach is measured against it.
//!
//! One thread, one epoll, HTTP/1.1 with keep-alive and pipelining; every request gets the same
//! 13 bytes of JSON. Built without a runtime or an HTTP library, so that nothing stands between the
//! kernel and the answer.
//! Invariant: what one connection may hold is bounded (16 KiB of head coming in, the answers to one
//! read going out: while those wait nothing more is read), and a broken request closes its
//! connection and touches no other.

mod connection;
mod request;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use self::connection::{Connection, Need, Scratch};
use crate::limits::raise_descriptor_limit;

/// Connections that wait to be accepted: enough for ten thousand that come at once in two rounds.
const BACKLOG: i32 = 4_096;
/// Events taken at once.
const EVENTS: usize = 512;
/// What the listener and the order to stop are known by; connections count from 0.
const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;

/// A running null server. Dropping it stops it and closes every connection.
#[derive(Debug)]
pub struct NullServer {
    address: SocketAddr,
    /// Outlives the thread, which waits on it.
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl NullServer {
    /// Listens at `address` (port 0 lets the system choose) and answers on a thread of its own.
    ///
    /// # Errors
    /// The address is taken or not ours, or the system gives no descriptor or thread.
    pub fn start(address: impl ToSocketAddrs) -> io::Result<Self> {
        raise_descriptor_limit();
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // The standard library asks for 128.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let service = Service::new(listener, &stop)?;
        let thread = thread::Builder::new()
            .name("null-server".to_owned())
            .spawn(move || service.serve())?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for ever, unless the server breaks down.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).expect("an eventfd takes a one");
            drop(thread.join());
        }
    }
}

/// What the thread owns.
struct Service {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    scratch: Scratch,
    /// No descriptor was left: the listener is looked at again once a connection has closed.
    is_full: bool,
}

impl Service {
    fn new(listener: TcpListener, stop: &OwnedFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, stop, EventData::new_u64(STOP), EventFlags::IN)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            scratch: Scratch::new(),
            is_full: false,
        })
    }

    fn serve(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            for event in &events {
                match event.data.u64() {
                    STOP => return,
                    LISTENER => self.accept(),
                    number => self.tend(usize::try_from(number).expect("we gave it")),
                }
            }
        }
    }

    /// Takes everyone in who waits.
    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    // A connection that cannot be set up is dropped, which closes it.
                    drop(Connection::new(stream).and_then(|connection| self.admit(connection)));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.is_full = epoll::delete(&self.epoll, &self.listener).is_ok();
                    }
                    return;
                }
            }
        }
    }

    fn admit(&mut self, connection: Connection) -> io::Result<()> {
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let data = EventData::new_u64(number as u64);
        let added = epoll::add(&self.epoll, connection.stream(), data, EventFlags::IN);
        if added.is_ok() {
            self.connections[number] = Some(connection);
        } else {
            self.free.push(number);
        }
        Ok(added?)
    }

    /// Answers what a connection has brought. An event of one that was closed in the same round
    /// may meet its successor, which then finds nothing to read.
    fn tend(&mut self, number: usize) {
        let Some(connection) = &mut self.connections[number] else {
            return;
        };
        let before = connection.need();
        let need = connection.advance(&mut self.scratch);
        let flags = match need {
            Need::Close => return self.close(number),
            _ if need == before => return,
            Need::Read => EventFlags::IN,
            Need::Write => EventFlags::OUT,
        };
        let data = EventData::new_u64(number as u64);
        if epoll::modify(&self.epoll, connection.stream(), data, flags).is_err() {
            self.close(number);
        }
    }

    fn close(&mut self, number: usize) {
        self.connections[number] = None;
        self.free.push(number);
        if self.is_full {
            let data = EventData::new_u64(LISTENER);
            self.is_full = epoll::add(&self.epoll, &self.listener, data, EventFlags::IN).is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: application/json\r\n\r\n{\"id\":\"abcd\"}";

    fn connect(server: &NullServer) -> TcpStream {
        let stream = TcpStream::connect(server.address()).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
        stream
    }

    fn start() -> NullServer {
        NullServer::start("127.0.0.1:0").expect("a port")
    }

    fn read(stream: &mut TcpStream, length: usize) -> String {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).expect("an answer");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn every_request_gets_the_same_answer_however_it_is_cut() {
        let server = start();
        let mut stream = connect(&server);
        for part in [
            "GET / HT",
            "TP/1.1\r\nHost: x\r\n\r",
            "\nGET /2 HTTP/1.1\r\n\r\n",
        ] {
            stream.write_all(part.as_bytes()).expect("sent");
        }
        assert_eq!(read(&mut stream, 2 * ANSWER.len()), ANSWER.repeat(2));
        stream
            .write_all(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nGET /GET / HTTP/1.1\r\n\r\n")
            .expect("sent");
        assert_eq!(read(&mut stream, 2 * ANSWER.len()), ANSWER.repeat(2));
    }

    #[test]
    fn it_closes_when_asked_and_on_what_it_does_not_understand() {
        let server = start();
        let request = |text: &str| {
            let mut stream = connect(&server);
            stream.write_all(text.as_bytes()).expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it closes");
            answer
        };
        assert_eq!(
            request("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
            ANSWER
        );
        assert_eq!(request("GET / HTTP/1.0\r\n\r\n"), ANSWER);
        assert_eq!(request("nonsense\r\n\r\n"), "");
    }

    /// More answers than a socket holds, to someone who does not read until all is sent.
    #[test]
    fn a_client_that_does_not_read_holds_up_nobody_and_loses_nothing() {
        const REQUESTS: usize = 60_000;
        let server = start();
        let mut slow = connect(&server);
        let mut sender = slow.try_clone().expect("a second handle");
        let sending = thread::spawn(move || {
            sender
                .write_all("GET / HTTP/1.1\r\n\r\n".repeat(REQUESTS).as_bytes())
                .expect("sent in the end");
        });
        let mut other = connect(&server);
        for _ in 0..100 {
            other.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
            assert_eq!(read(&mut other, ANSWER.len()), ANSWER);
        }
        assert_eq!(
            read(&mut slow, REQUESTS * ANSWER.len()),
            ANSWER.repeat(REQUESTS)
        );
        sending.join().expect("all was sent");
    }

    #[test]
    fn dropping_it_closes_the_connections_and_frees_the_address() {
        let server = start();
        let address = server.address();
        let mut stream = connect(&server);
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        assert_eq!(read(&mut stream, ANSWER.len()), ANSWER);
        drop(server);
        assert_eq!(stream.read(&mut [0; 8]).expect("the end"), 0);
        assert!(TcpStream::connect(address).is_err());
    }
}
