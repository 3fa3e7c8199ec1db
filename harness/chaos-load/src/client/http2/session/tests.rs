//! Sessions against bytes, without a socket: what RFC 9113 asks for, and whatever a peer may make up.

use std::task::Waker;

use chaos_testkit::raw::frame as bytes_of;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;

use super::*;
use crate::client::Reads;
use crate::client::http2::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE,
};

const ENDS: u8 = END_HEADERS | END_STREAM;
const PADDED: u8 = 0x8;
/// `:status: 200`, `:status: 103` and a trailer.
const OK: &[u8] = &[0x88];
const HINTS: &[u8] = b"\x08\x03103";
const TRAILER: &[u8] = b"\x00\x05x-sum\x011";

/// More than a frame may carry.
const TOO_LONG: &[u8] = &[0; 16_385];

/// Kind, flags and payload of each.
type Frames<'a> = &'a [(u8, u8, &'a [u8])];

/// A session that has heard settings, with so many lanes, and nothing left to be said.
fn session(lanes: usize) -> Session {
    let mut session = Session::new(&Origin::shop());
    session.add_lanes(lanes);
    hear(&mut session, (SETTINGS, 0, 0), &[]);
    said(&mut session);
    session
}

/// A session with a GET under way on each lane: streams 1, 3, 5 ...
fn asking(lanes: usize) -> Session {
    let mut session = session(lanes);
    for lane in 0..lanes {
        ask(&mut session, lane, Method::GET, 0);
    }
    said(&mut session);
    session
}

fn ask(session: &mut Session, lane: usize, method: Method, body_bytes: usize) {
    let mut request = Request::new(Full::from(vec![b'x'; body_bytes]));
    *request.method_mut() = method;
    let reads = Reads {
        headers: true,
        body: true,
    };
    session.send(lane, &request, reads).expect("a request");
}

fn hear(session: &mut Session, head: (u8, u8, u32), payload: &[u8]) {
    let bytes = bytes_of(head, payload);
    let before_ns = session.stamps(0).first_byte_ns;
    let taken = session.receive(&bytes, before_ns.unwrap_or(0) + 1);
    assert!(taken == bytes.len() || session.ended.is_some());
}

/// The frames that were said since, each with its length; all of them are sent.
fn said(session: &mut Session) -> Vec<(u8, u8, u32, usize)> {
    let mut frames = Vec::new();
    while !session.to_send().is_empty() {
        let mut bytes = session.to_send();
        let length = bytes.len();
        bytes = bytes.strip_prefix(frame::PREFACE).unwrap_or(bytes);
        while let Some(head) = frame::Head::read(bytes) {
            frames.push((head.kind, head.flags, head.stream, head.length));
            bytes = &bytes[frame::HEAD_BYTES + head.length..];
        }
        session.sent(length, 7);
    }
    frames
}

fn end(session: &mut Session, lane: usize) -> Option<Result<Received, FailKind>> {
    match session.poll_end(lane, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    }
}

fn failed(session: &mut Session, lane: usize) -> Option<FailKind> {
    end(session, lane).and_then(Result::err)
}

fn turn(session: &mut Session, lane: usize) -> Poll<bool> {
    session.poll_turn(lane, &mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_answer_is_put_together() {
    let mut session = asking(1);
    assert_eq!(session.stamps(0).written_ns, Some(7));
    hear(&mut session, (HEADERS, END_HEADERS, 1), HINTS);
    // Cut in the middle of a field, with a padding of two.
    hear(&mut session, (HEADERS, PADDED, 1), b"\x02\x88\x00\x03x\0\0");
    hear(&mut session, (CONTINUATION, 0, 1), b"-a");
    hear(&mut session, (CONTINUATION, END_HEADERS, 1), b"\x01b");
    let first = session.stamps(0).first_byte_ns;
    assert!(first.is_some());
    hear(&mut session, (0x77, 0xff, 1), b"unknown");
    hear(&mut session, (DATA, PADDED, 1), b"\x01ab\0");
    hear(&mut session, (DATA, 0, 1), b"c");
    assert!(end(&mut session, 0).is_none());
    hear(&mut session, (HEADERS, ENDS, 1), TRAILER);
    let stamps = session.stamps(0);
    assert!(stamps.first_byte_ns == first && stamps.last_byte_ns > first);
    let received = end(&mut session, 0).expect("an end").expect("an answer");
    assert_eq!(
        (received.status, &received.body[..]),
        (StatusCode::OK, &b"abc"[..])
    );
    assert_eq!(received.headers["x-a"], "b");
    assert!(!received.headers.contains_key("x-sum"));
    assert_eq!(turn(&mut session, 0), Poll::Ready(true));
}

#[test]
fn an_answer_that_is_none_leaves_the_others_alone() {
    let cases: [(Frames<'_>, FailKind); 9] = [
        (&[(DATA, 0, b"early")], FailKind::Protocol),
        (&[(HEADERS, ENDS, b"")], FailKind::Protocol),
        (&[(HEADERS, ENDS, HINTS)], FailKind::Protocol),
        (&[(HEADERS, ENDS, b"\x08\x03101")], FailKind::Protocol),
        (
            &[(HEADERS, ENDS, b"\x88\x00\x01A\x01b")],
            FailKind::Protocol,
        ),
        (&[(HEADERS, ENDS, b"\x88\x0f\x0d\x011")], FailKind::Protocol),
        (
            &[(HEADERS, END_HEADERS, OK), (HEADERS, END_HEADERS, TRAILER)],
            FailKind::Protocol,
        ),
        (
            &[
                (HEADERS, END_HEADERS, b"\x88\x0f\x0d\x011"),
                (DATA, END_STREAM, b"ab"),
            ],
            FailKind::Protocol,
        ),
        (&[(HEADERS, END_HEADERS, HINTS); 33], FailKind::TooLarge),
    ];
    for (frames, kind) in cases {
        let mut session = asking(2);
        for (frame, flags, payload) in frames {
            hear(&mut session, (*frame, *flags, 1), payload);
        }
        assert_eq!(failed(&mut session, 0), Some(kind), "{frames:?}");
        assert!(
            said(&mut session).contains(&(RST_STREAM, 0, 1, 4)),
            "{frames:?}"
        );
        hear(&mut session, (HEADERS, ENDS, 3), OK);
        assert!(end(&mut session, 1).expect("an end").is_ok(), "{frames:?}");
    }
}

/// To a HEAD, and with some statuses, the length is that of what is not sent.
#[test]
fn an_answer_without_a_body_may_have_a_length() {
    for (method, status) in [
        (Method::HEAD, 0x88),
        (Method::GET, 0x89),
        (Method::GET, 0x8b),
    ] {
        let mut session = session(1);
        ask(&mut session, 0, method, 0);
        said(&mut session);
        hear(
            &mut session,
            (HEADERS, ENDS, 1),
            &[status, 0x0f, 0x0d, 1, b'9'],
        );
        assert!(end(&mut session, 0).expect("an end").is_ok(), "{status:x}");
    }
}

#[test]
fn rules_of_the_connection_that_are_broken_end_it() {
    let cases: [(u8, u8, u32, &[u8], Code); 22] = [
        (DATA, 0, 0, b"", Code::Protocol),
        (DATA, 0, 2, b"", Code::Protocol),
        (DATA, 0, 9, b"", Code::Protocol),
        (DATA, PADDED, 1, b"\x05", Code::Protocol),
        (DATA, 0, 1, TOO_LONG, Code::FrameSize),
        (HEADERS, ENDS, 9, OK, Code::Protocol),
        (HEADERS, ENDS, 1, b"\xff\xff\xff\xff\xff", Code::Compression),
        (CONTINUATION, END_HEADERS, 1, OK, Code::Protocol),
        (RST_STREAM, 0, 1, b"\0", Code::FrameSize),
        (RST_STREAM, 0, 9, &[0; 4], Code::Protocol),
        (SETTINGS, 0, 1, b"", Code::Protocol),
        (SETTINGS, ACK, 0, &[0; 6], Code::FrameSize),
        (SETTINGS, 0, 0, &[0; 5], Code::FrameSize),
        (SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 1], Code::Protocol),
        (SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0], Code::FlowControl),
        (SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff], Code::Protocol),
        (
            PUSH_PROMISE,
            END_HEADERS,
            1,
            b"\0\0\0\x02\x82",
            Code::Protocol,
        ),
        (PING, 0, 0, &[0; 7], Code::FrameSize),
        (GOAWAY, 0, 0, b"\0", Code::FrameSize),
        (WINDOW_UPDATE, 0, 0, &[0; 4], Code::Protocol),
        (
            WINDOW_UPDATE,
            0,
            0,
            &[0x7f, 0xff, 0xff, 0xff],
            Code::FlowControl,
        ),
        (WINDOW_UPDATE, 0, 1, &[0; 5], Code::FrameSize),
    ];
    for (kind, flags, stream, payload, code) in cases {
        let mut session = asking(2);
        hear(&mut session, (kind, flags, stream), payload);
        let goodbye = bytes_of((GOAWAY, 0, 0), &[0, 0, 0, 0, 0, 0, 0, code as u8]);
        let heard = (kind, flags, stream, &payload[..payload.len().min(8)]);
        assert!(
            session.to_send().ends_with(&goodbye),
            "{heard:?}: {session:?}"
        );
        assert!(!session.is_usable() && session.is_over());
        for lane in 0..2 {
            assert_eq!(
                failed(&mut session, lane),
                Some(FailKind::Protocol),
                "{heard:?}"
            );
        }
        assert_eq!(turn(&mut session, 0), Poll::Ready(false));
    }
    // Between the parts of a header block stands nothing else.
    let mut session = asking(1);
    hear(&mut session, (HEADERS, 0, 1), OK);
    hear(&mut session, (PING, 0, 0), &[0; 8]);
    assert_eq!(failed(&mut session, 0), Some(FailKind::Protocol));
}

#[test]
fn a_head_without_end_is_given_up_however_small_its_parts() {
    for part in [0, 1_000] {
        let mut session = asking(1);
        hear(&mut session, (HEADERS, 0, 1), OK);
        for _ in 0..5_000 {
            hear(&mut session, (CONTINUATION, 0, 1), &vec![0; part]);
        }
        assert_eq!(failed(&mut session, 0), Some(FailKind::TooLarge));
        assert!(session.block.bytes.len() <= HEAD_BYTES_MAX as usize);
    }
}

#[test]
fn what_was_not_looked_at_is_told_apart() {
    let mut session = asking(4);
    hear(&mut session, (RST_STREAM, 0, 1), &[0, 0, 0, 7]);
    hear(&mut session, (RST_STREAM, 0, 3), &[0, 0, 0, 2]);
    hear(&mut session, (GOAWAY, 0, 0), &[0, 0, 0, 5, 0, 0, 0, 0]);
    assert_eq!(failed(&mut session, 0), Some(FailKind::Refused));
    assert_eq!(failed(&mut session, 1), Some(FailKind::Reset));
    assert_eq!(failed(&mut session, 3), Some(FailKind::Refused));
    // The peer still answers what it has looked at, and nothing new is asked.
    assert_eq!(turn(&mut session, 0), Poll::Ready(false));
    assert!(!session.is_over());
    hear(&mut session, (HEADERS, ENDS, 5), OK);
    assert!(end(&mut session, 2).expect("an end").is_ok());
    assert!(session.is_over());
}

#[test]
fn a_connection_that_ends_tells_what_has_left() {
    let mut session = asking(2);
    end(&mut session, 0);
    session.give_up(1, 9);
    said(&mut session);
    ask(&mut session, 1, Method::GET, 0);
    session.sent(0, 8);
    session.end(FailKind::Reset);
    assert_eq!(failed(&mut session, 0), Some(FailKind::Reset));
    assert_eq!(failed(&mut session, 1), Some(FailKind::Reset));
    assert_eq!((session.is_unsent(0), session.is_unsent(1)), (false, true));
    assert_eq!(session.stamps(1).written_ns, None);
}

#[test]
fn a_body_leaves_as_the_peer_has_room() {
    let mut session = session(2);
    hear(&mut session, (SETTINGS, 0, 0), &[0, 4, 0, 0, 0, 100]);
    said(&mut session);
    ask(&mut session, 0, Method::POST, 20_000);
    let head = said(&mut session);
    assert_eq!(head[0].0, HEADERS);
    assert_eq!(head[1..], [(DATA, 0, 1, 100)]);
    // The change holds for streams that are open, and the window may be less than nothing.
    hear(&mut session, (SETTINGS, 0, 0), &[0, 4, 0, 0, 0, 50]);
    hear(&mut session, (WINDOW_UPDATE, 0, 1), &[0, 0, 0, 50]);
    assert_eq!(said(&mut session), [(SETTINGS, ACK, 0, 0)]);
    hear(&mut session, (WINDOW_UPDATE, 0, 1), &[0, 0, 0, 1]);
    assert_eq!(said(&mut session), [(DATA, 0, 1, 1)]);
    hear(&mut session, (WINDOW_UPDATE, 0, 1), &[0, 1, 0, 0]);
    assert_eq!(
        said(&mut session),
        [
            (DATA, 0, 1, 16_384),
            (DATA, END_STREAM, 1, 20_000 - 101 - 16_384)
        ]
    );
    // The window of the connection: 65,535 less what has left.
    ask(&mut session, 1, Method::POST, 70_000);
    assert_eq!(said(&mut session).len(), 2);
    hear(&mut session, (WINDOW_UPDATE, 0, 3), &[0, 1, 0, 0]);
    let sent: usize = said(&mut session)
        .iter()
        .filter(|frame| frame.0 == DATA)
        .map(|frame| frame.3)
        .sum();
    assert_eq!(sent, 65_535 - 20_000 - 50);
    assert_eq!(session.uploads, 1);
    // An answer that comes first ends it.
    hear(&mut session, (HEADERS, ENDS, 3), OK);
    assert_eq!(said(&mut session), [(RST_STREAM, 0, 3, 4)]);
    assert!(end(&mut session, 1).expect("an end").is_ok());
    assert_eq!(session.uploads, 0);
}

#[test]
fn a_large_head_leaves_in_parts() {
    let mut session = session(1);
    let request = Request::get("/").header("x-long", "y".repeat(40_000));
    let request = request.body(Full::default()).expect("a request");
    let reads = Reads {
        headers: false,
        body: false,
    };
    session.send(0, &request, reads).expect("a request");
    let frames = said(&mut session);
    let heads: Vec<_> = frames.iter().map(|frame| (frame.0, frame.1)).collect();
    assert_eq!(
        heads,
        [
            (HEADERS, END_STREAM),
            (CONTINUATION, 0),
            (CONTINUATION, END_HEADERS)
        ]
    );
    assert!(frames.iter().all(|frame| frame.3 <= 16_384));
}

#[test]
fn room_is_made_when_half_of_it_is_taken() {
    let mut session = asking(2);
    hear(&mut session, (HEADERS, END_HEADERS, 1), OK);
    let part = vec![0; 16_384];
    for _ in 1..32 {
        hear(&mut session, (DATA, 0, 1), &part);
    }
    assert_eq!(said(&mut session), []);
    hear(&mut session, (DATA, 0, 1), &part);
    assert_eq!(said(&mut session), [(WINDOW_UPDATE, 0, 1, 4)]);
    // One that was given up takes from the connection's room, and gives it back; only so much may still come.
    session.give_up(0, 9);
    said(&mut session);
    let mut frames = 0;
    while session.ended.is_none() {
        hear(&mut session, (DATA, 0, 1), &part);
        frames += 1;
    }
    assert!((64..=100).contains(&frames), "{frames}");
    assert_eq!(failed(&mut session, 1), Some(FailKind::Protocol));
}

#[test]
fn what_is_given_up_before_it_left_counts_as_written() {
    let mut session = session(1);
    ask(&mut session, 0, Method::GET, 0);
    assert!(session.give_up(0, 9));
    assert_eq!(session.stamps(0).written_ns, Some(9));
    assert!(session.is_unsent(0));
    let kinds: Vec<u8> = said(&mut session).iter().map(|frame| frame.0).collect();
    assert_eq!(kinds, [HEADERS, RST_STREAM], "it cannot be taken out again");
}

#[test]
fn a_block_for_a_stream_that_was_given_up_is_read() {
    let mut session = asking(2);
    assert!(session.give_up(0, 9));
    assert_eq!(said(&mut session), [(RST_STREAM, 0, 1, 4)]);
    hear(&mut session, (HEADERS, ENDS, 1), b"\x88\x40\x03x-a\x01b");
    hear(&mut session, (HEADERS, ENDS, 3), b"\x88\xbe");
    let received = end(&mut session, 1).expect("an end").expect("an answer");
    assert_eq!(received.headers["x-a"], "b");
}

#[test]
fn those_beyond_what_the_peer_allows_wait() {
    let mut session = session(3);
    hear(&mut session, (SETTINGS, 0, 0), &[0, 3, 0, 0, 0, 1]);
    ask(&mut session, 0, Method::GET, 0);
    said(&mut session);
    assert_eq!(turn(&mut session, 1), Poll::Pending);
    assert_eq!(turn(&mut session, 2), Poll::Pending);
    assert!(!session.give_up(2, 9));
    hear(&mut session, (HEADERS, ENDS, 1), OK);
    assert!(session.lanes[1].waker.is_none(), "it was woken");
    assert_eq!(turn(&mut session, 1), Poll::Ready(true));
    // Nor is anything begun while what was said does not leave.
    session.outbox.bytes.resize(OUTBOX_BYTES, 0);
    assert_eq!(turn(&mut session, 1), Poll::Pending);
    session.sent(OUTBOX_BYTES, 8);
    assert_eq!(turn(&mut session, 1), Poll::Ready(true));
}

#[test]
fn numbers_of_streams_run_out() {
    let mut session = session(1);
    session.next = LAST_STREAM;
    ask(&mut session, 0, Method::GET, 0);
    said(&mut session);
    assert_eq!(turn(&mut session, 0), Poll::Ready(false));
    hear(&mut session, (HEADERS, ENDS, LAST_STREAM), OK);
    assert!(end(&mut session, 0).expect("an end").is_ok());
    said(&mut session);
    assert!(session.is_over());
}

#[test]
fn an_answer_to_what_was_not_asked_yet_is_refused() {
    let mut session = session(1);
    ask(&mut session, 0, Method::GET, 0);
    hear(&mut session, (HEADERS, ENDS, 1), OK);
    assert_eq!(failed(&mut session, 0), Some(FailKind::Protocol));
}

#[test]
fn bodies_take_turns_and_leave_room_for_heads() {
    let mut session = session(3);
    hear(&mut session, (WINDOW_UPDATE, 0, 0), &[0, 1, 0, 0]);
    for lane in 0..2 {
        assert_eq!(turn(&mut session, lane), Poll::Ready(true));
        ask(&mut session, lane, Method::POST, 60_000);
    }
    assert!(session.to_send().len() < OUTBOX_BYTES);
    assert_eq!(turn(&mut session, 2), Poll::Ready(true));
    let said = said(&mut session);
    let streams: Vec<_> = said
        .iter()
        .filter(|frame| frame.0 == DATA)
        .map(|frame| frame.2)
        .collect();
    assert_eq!(streams, [1, 1, 3, 1, 3, 1, 3, 3]);
    assert_eq!(session.uploads, 0);
}

/// Frames as they might come, sound or not, for streams that are open, closed, or never were.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(OK.to_vec()),
        Just(HINTS.to_vec()),
        Just([OK, TRAILER].concat()),
        (0_u8..7, any::<u32>())
            .prop_map(|(number, value)| { [&[0, number][..], &value.to_be_bytes()].concat() }),
        (0_u32..80_000).prop_map(|word| word.to_be_bytes().to_vec()),
        Just(vec![0; 8]),
        Just(vec![1; 16_000]),
    ];
    let flags = prop_oneof![Just(0_u8), Just(ENDS), Just(END_HEADERS), any::<u8>()];
    let frame = (0_u8..11, flags, 0_u32..12, payload);
    let frame =
        frame.prop_map(|(kind, flags, stream, payload)| bytes_of((kind, flags, stream), &payload));
    prop::collection::vec(frame, 0..40).prop_map(|frames| frames.concat())
}

/// Hears `bytes` in parts of `part`, says what there is to say after each, and what becomes of the lanes.
fn survive(bytes: &[u8], part: usize, speaks: bool) -> (Vec<u8>, Vec<Phase>) {
    let mut session = session(4);
    for (lane, body_bytes) in [0, 10, 100_000, 0].into_iter().enumerate() {
        ask(&mut session, lane, Method::POST, body_bytes);
    }
    session.sent(session.to_send().len(), 7);
    let (mut inbox, mut told) = (Vec::new(), Vec::new());
    for part in bytes.chunks(part) {
        inbox.extend_from_slice(part);
        let taken = session.receive(&inbox, 1);
        inbox.drain(..taken);
        assert!(
            inbox.len() < frame::HEAD_BYTES + frame::PAYLOAD_BYTES_MAX || session.ended.is_some()
        );
        assert!(session.block.bytes.len() <= HEAD_BYTES_MAX as usize);
        assert!(session.to_send().len() <= OUTBOX_BYTES + 32_768 + bytes.len());
        if speaks {
            let length = session.to_send().len();
            told.extend_from_slice(session.to_send());
            session.sent(length, 7);
        }
    }
    told.extend_from_slice(session.to_send());
    let open = session.open.iter().filter(|open| **open != 0).count();
    assert_eq!(open, session.active);
    let uploads = session
        .lanes
        .iter()
        .filter(|lane| !lane.upload.is_empty())
        .count();
    assert_eq!(uploads, session.uploads);
    (told, session.lanes.iter().map(|lane| lane.phase).collect())
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2_000), part in 1_usize..100) {
        survive(&bytes, part, true);
    }

    #[test]
    fn frames_with_errors_are_survived(
        frames in frames(),
        errors in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        part in 1_usize..5_000,
    ) {
        let mut bytes = frames;
        for (place, byte) in errors {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        survive(&bytes, part, true);
    }

    /// What is said to the same bytes is the same, however they were cut.
    #[test]
    fn it_does_not_matter_how_frames_were_cut(frames in frames(), part in 1_usize..5_000) {
        let (whole, cut) = (survive(&frames, usize::MAX, false), survive(&frames, part, false));
        prop_assert_eq!(whole, cut);
    }
}
