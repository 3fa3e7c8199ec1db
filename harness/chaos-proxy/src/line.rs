//! Lines of the control protocol, read with a limit.
//!
//! Invariant: never holds more than [`MAX_LINE`] bytes, whatever the other side sends.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// Reads one line without its end; `None` when the input has ended. Not cancel safe: a line that
/// was read in part is lost with the future.
pub async fn next_line<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE).expect("a line fits a u64") + 1;
    from.take(limit).read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => {
            line.pop();
            Ok(Some(line))
        }
        Some(_) if line.len() > MAX_LINE => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line is longer than {MAX_LINE} bytes"),
        )),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &[u8], expected: &[&str], ending: Option<io::ErrorKind>) {
        let mut input = input;
        for line in expected {
            let read = next_line(&mut input).await.expect("a line");
            assert_eq!(read.as_deref(), Some(line.as_bytes()));
        }
        let last = next_line(&mut input).await;
        assert_eq!(last.as_ref().err().map(io::Error::kind), ending);
        assert!(matches!(last, Err(_) | Ok(None)));
    }

    #[tokio::test]
    async fn whole_lines_then_the_end() {
        check(b"", &[], None).await;
        check(b"one\n\nthree\n", &["one", "", "three"], None).await;
    }

    #[tokio::test]
    async fn a_line_cut_short_or_too_long_is_refused() {
        check(b"one\ntw", &["one"], Some(io::ErrorKind::UnexpectedEof)).await;
        let endless = vec![b'x'; MAX_LINE + 2];
        check(&endless, &[], Some(io::ErrorKind::InvalidData)).await;
    }

    #[tokio::test]
    async fn the_longest_line_passes() {
        let mut longest = vec![b'x'; MAX_LINE];
        longest.push(b'\n');
        let read = next_line(&mut longest.as_slice()).await.expect("a line");
        assert_eq!(read.map(|line| line.len()), Some(MAX_LINE));
    }
}
