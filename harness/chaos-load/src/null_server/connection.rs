//! One connection of the null server: what it has read of a request, what it has still to write.
//!
//! Invariant: reading and writing exclude each other, so that neither side of it can grow.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::request::{self, Found, HEAD_MAX, Head};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: application/json\r\n\r\n{\"id\":\"abcd\"}";
/// Length of the body at the end of [`ANSWER`].
const BODY: usize = 13;
/// For those who would close the connection if it were not said.
const ANSWER_KEPT: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 13\r\nContent-Type: application/json\r\n\r\n{\"id\":\"abcd\"}";
/// Bytes read at once; more than the longest head, so that a head always fits.
const INPUT: usize = 4 * HEAD_MAX;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
    Close,
}

/// Buffers that all connections use in turn.
#[derive(Debug)]
pub(super) struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            input: vec![0; INPUT].into_boxed_slice(),
            output: Vec::with_capacity(INPUT),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// The beginning of a head whose end has not come.
    begun: Vec<u8>,
    /// Bytes of body that are still to come and mean nothing.
    body: u64,
    /// Whom to answer once that body is in.
    owed: Option<Head>,
    /// Answers the socket had no room for.
    unsent: Vec<u8>,
    /// Nothing is read any more: it closes once all is written.
    is_last: bool,
}

impl Connection {
    /// # Errors
    /// The socket broke meanwhile.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            begun: Vec::new(),
            body: 0,
            owed: None,
            unsent: Vec::new(),
            is_last: false,
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn need(&self) -> Need {
        match (self.unsent.is_empty(), self.is_last) {
            (false, _) => Need::Write,
            (true, true) => Need::Close,
            (true, false) => Need::Read,
        }
    }

    /// Reads once and answers, or goes on writing; says what it waits for next.
    pub(super) fn advance(&mut self, scratch: &mut Scratch) -> Need {
        let done = if self.unsent.is_empty() {
            self.answer(scratch)
        } else {
            self.send_rest()
        };
        match done {
            Ok(()) => self.need(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.need(),
            Err(_) => Need::Close,
        }
    }

    fn answer(&mut self, Scratch { input, output }: &mut Scratch) -> io::Result<()> {
        let kept = self.begun.len();
        input[..kept].copy_from_slice(&self.begun);
        let read = self.stream.read(&mut input[kept..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.begun.clear();
        output.clear();
        self.take_in(&input[..kept + read], output);
        if output.is_empty() {
            return Ok(());
        }
        let sent = match self.stream.write(output) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        self.unsent.extend_from_slice(&output[sent..]);
        Ok(())
    }

    /// Puts an answer to each request that ends in `bytes` into `output`; keeps what is left over.
    fn take_in(&mut self, mut bytes: &[u8], output: &mut Vec<u8>) {
        loop {
            let skipped = usize::try_from(self.body)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.body -= skipped as u64;
            bytes = &bytes[skipped..];
            if self.body == 0
                && let Some(head) = self.owed.take()
            {
                put_answer(&head, output);
                self.is_last = head.closes;
            }
            if bytes.is_empty() || self.is_last {
                return;
            }
            match request::find(bytes) {
                Found::Whole(head) => {
                    bytes = &bytes[head.length..];
                    self.body = head.body;
                    self.owed = Some(head);
                }
                Found::Part => return self.begun.extend_from_slice(bytes),
                Found::Refused => self.is_last = true,
            }
        }
    }

    fn send_rest(&mut self) -> io::Result<()> {
        let sent = self.stream.write(&self.unsent)?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            // Thousands of idle connections shall not keep what one burst needed.
            self.unsent = Vec::new();
        }
        Ok(())
    }
}

fn put_answer(head: &Head, output: &mut Vec<u8>) {
    let answer = if head.is_old && !head.closes {
        ANSWER_KEPT
    } else {
        ANSWER
    };
    let body = if head.answers_bare { BODY } else { 0 };
    output.extend_from_slice(&answer[..answer.len() - body]);
}
