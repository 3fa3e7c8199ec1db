//! `GET /audit`: what a role holds, as JSON lines, so that a run can be judged by it.
//!
//! The format is version 1 of the audit contract: each line is an object with one key that names its
//! kind; the first line says the version and the last one how many lines stand before it, so that a cut
//! answer is noticed. Lines go through a file without a name first: the role's database is read at the
//! speed of the disk and not of the caller, and no answer begins that cannot be finished.
//!
//! Invariant: an answer shows one moment of the role's book, and neither its length nor the caller's
//! speed costs memory. One answer is made at a time.

use std::fs::File;
use std::future::ready;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::http::{HeaderValue, header};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::http::error::ApiError;

/// The version of the contract.
const VERSION: u32 = 1;
/// The most lines of one answer, as the contract says.
const LINES_MAX: u64 = 1_000_000;
/// The most bytes of one answer, as the contract says.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What is in memory of an answer, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Audit {
        version: u32,
    },
    /// An order ever made, with all its states, oldest first.
    Order {
        id: String,
        key: String,
        amount: i64,
        states: Vec<String>,
        items: Vec<Item>,
    },
    /// Money that moved.
    Charge {
        id: String,
        order: String,
        amount: i64,
    },
    /// Money that moved back.
    Refund {
        id: String,
        charge: String,
        order: String,
        amount: i64,
    },
    /// Pieces of one product.
    Stock {
        sku: String,
        available: i64,
        reserved: i64,
    },
    /// A shopper was told that an order is sold, and how many milliseconds after it was.
    Delivery {
        order: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        after_ms: Option<i64>,
    },
    End {
        lines: u64,
    },
}

/// A product and how many of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    #[serde(rename(deserialize = "product_id"))]
    pub(crate) sku: String,
    pub(crate) quantity: i64,
}

/// A book that can be read out.
pub(crate) trait Book: Send + Sync + 'static {
    /// Puts a line for everything in the book, as it stands at one moment.
    fn read_out(&self, lines: &mut Lines) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// The route `/audit` of a role with a book, whose answers pass through a folder of the role.
pub(crate) fn route(folder: &Path, book: impl Book) -> Router {
    let auditor = Auditor {
        folder: folder.to_owned(),
        book,
        turn: Mutex::new(()),
    };
    Router::new()
        .route("/audit", get(answer))
        .with_state(Arc::new(auditor))
}

struct Auditor<B> {
    folder: PathBuf,
    book: B,
    turn: Mutex<()>,
}

async fn answer<B: Book>(State(auditor): State<Arc<Auditor<B>>>) -> Result<Response, ApiError> {
    let turn = auditor.turn.lock().await;
    let mut lines = Lines::begin(&auditor.folder)?;
    auditor.book.read_out(&mut lines).await?;
    drop(turn);
    lines.end()
}

/// The lines of an answer so far.
#[derive(Debug)]
pub(crate) struct Lines {
    file: BufWriter<File>,
    count: u64,
    bytes: u64,
}

impl Lines {
    fn begin(folder: &Path) -> Result<Self, ApiError> {
        let file = tempfile::tempfile_in(folder).map_err(|error| failed(&error))?;
        let mut lines = Self {
            file: BufWriter::with_capacity(CHUNK_BYTES, file),
            count: 0,
            bytes: 0,
        };
        lines.put(&Line::Audit { version: VERSION })?;
        Ok(lines)
    }

    /// Adds a line.
    pub(crate) fn put(&mut self, line: &Line) -> Result<(), ApiError> {
        let mut text =
            serde_json::to_vec(line).map_err(|error| ApiError::internal(error.to_string()))?;
        text.push(b'\n');
        self.count += 1;
        self.bytes += text.len() as u64;
        if self.count > LINES_MAX || self.bytes > BYTES_MAX {
            let detail = format!("an audit has more than {LINES_MAX} lines or {BYTES_MAX} bytes");
            return Err(ApiError::internal(detail));
        }
        self.file.write_all(&text).map_err(|error| failed(&error))
    }

    fn end(mut self) -> Result<Response, ApiError> {
        self.put(&Line::End { lines: self.count })?;
        let length = self.bytes;
        let file = self.file.into_inner();
        let mut file = file.map_err(|error| failed(error.error()))?;
        file.seek(SeekFrom::Start(0))
            .map_err(|error| failed(&error))?;
        let chunks = stream::try_unfold(file, |file| ready(next_chunk(file)));
        let mut response = Body::from_stream(chunks).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Ok(response)
    }
}

// What was just written is still in the system's memory, so reading it does not hold up others.
fn next_chunk(mut file: File) -> io::Result<Option<(Bytes, File)>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let read = file.read(&mut chunk)?;
    chunk.truncate(read);
    Ok((read > 0).then(|| (chunk.into(), file)))
}

fn failed(error: &io::Error) -> ApiError {
    ApiError::internal(format!("the file of an audit: {error}"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn check(line: &Line, wanted: &str) {
        assert_eq!(serde_json::to_string(line).unwrap(), wanted);
    }

    #[test]
    fn lines_are_written_as_the_contract_says() {
        let items = serde_json::from_str(r#"[{"product_id":"p-0002","name":"x","quantity":1}]"#);
        let order = Line::Order {
            id: "o-1".to_owned(),
            key: "k".to_owned(),
            amount: 1999,
            states: vec!["pending".to_owned(), "paid".to_owned()],
            items: items.unwrap(),
        };
        check(
            &order,
            r#"{"order":{"id":"o-1","key":"k","amount":1999,"states":["pending","paid"],"items":[{"sku":"p-0002","quantity":1}]}}"#,
        );
        check(&Line::Audit { version: 1 }, r#"{"audit":{"version":1}}"#);
        let delivery = Line::Delivery {
            order: "o-1".to_owned(),
            after_ms: Some(12),
        };
        check(&delivery, r#"{"delivery":{"order":"o-1","after_ms":12}}"#);
    }

    #[tokio::test]
    async fn an_answer_longer_than_a_chunk_is_whole_and_counts_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = Lines::begin(folder.path()).unwrap();
        for number in 0..5000 {
            let order = format!("o-{number}");
            let after_ms = None;
            lines.put(&Line::Delivery { order, after_ms }).unwrap();
        }
        let body = lines.end().unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(text.len() > CHUNK_BYTES && text.ends_with('\n'));
        let read: Vec<&str> = text.lines().collect();
        assert_eq!(read.len(), 5002);
        assert_eq!(read[0], r#"{"audit":{"version":1}}"#);
        assert_eq!(read[4501], r#"{"delivery":{"order":"o-4500"}}"#);
        assert_eq!(read[5001], r#"{"end":{"lines":5001}}"#);
        // Nothing is left in the role's folder.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
