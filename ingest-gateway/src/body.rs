//! A request's body: read within its limits of size and time, and unpacked on the way. The limit counts unpacked bytes, so
//! that a small body cannot become a large one.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use service_kit::Problem;
use tokio::time::Instant;
use zstd::stream::raw::{DParameter, Decoder};
use zstd::stream::zio::Writer;

use crate::admit::BodyRoom;
use crate::answer::{too_large, unsupported_media};
use crate::config::Limits;

/// How a body is packed (RFC 9110, content codings).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The largest window of a zstd frame, as a power of two: what RFC 9659 asks of everybody who unpacks HTTP bodies.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

impl Coding {
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut all = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let coding = match (all.next(), all.next()) {
            (None, _) => return Ok(Self::Identity),
            (Some(one), None) => one.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
            (Some(_), Some(_)) => String::new(),
        };
        match coding.as_str() {
            "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(unsupported_media(
                "send the body packed once, by gzip or zstd, or without Content-Encoding",
            )),
        }
    }
}

/// A body on its way in: unpacked pieces, as they come.
pub struct Pieces {
    body: Body,
    unpacker: Unpacker,
    until: Instant,
    has_ended: bool,
}

impl Pieces {
    pub fn new(body: Body, coding: Coding, limits: &Limits) -> Result<Self, Problem> {
        let until = Instant::now() + Duration::from_millis(limits.body_timeout_ms);
        Ok(Self { body, unpacker: Unpacker::new(coding, limits.max_body_bytes)?, until, has_ended: false })
    }

    /// The next piece, which may be empty; `None` behind the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let frame = tokio::time::timeout_at(self.until, self.body.frame()).await;
        let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body took too long");
        let Some(frame) = frame.map_err(slow)? else {
            if std::mem::replace(&mut self.has_ended, true) {
                return Ok(None);
            }
            self.unpacker.finish()?;
            return Ok(Some(self.unpacker.take()));
        };
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body ended early: {error}")))?;
        if let Some(data) = frame.data_ref() {
            self.unpacker.push(data)?;
        }
        Ok(Some(self.unpacker.take()))
    }
}

/// Reads the whole body.
pub async fn read_body(
    body: Body,
    coding: Coding,
    limits: &Limits,
    room: &mut BodyRoom,
) -> Result<Vec<u8>, Problem> {
    let mut pieces = Pieces::new(body, coding, limits)?;
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await? {
        room.hold(whole.len() + piece.len())?;
        if whole.is_empty() {
            whole = piece;
        } else {
            whole.extend_from_slice(&piece);
        }
    }
    Ok(whole)
}

/// Unpacks a body piece by piece.
enum Unpacker {
    Identity(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Zstd(Box<Writer<Bounded, Decoder<'static>>>),
}

impl Unpacker {
    fn new(coding: Coding, most: usize) -> Result<Self, Problem> {
        let bounded = Bounded { bytes: Vec::new(), taken: 0, most, is_over: false };
        Ok(match coding {
            Coding::Identity => Self::Identity(bounded),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(bounded))),
            Coding::Zstd => {
                let cannot = |error: io::Error| Problem::unavailable(format!("no room to unpack: {error}"));
                let mut decoder = Decoder::new().map_err(cannot)?;
                decoder.set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_LOG)).map_err(cannot)?;
                Self::Zstd(Box::new(Writer::new(bounded, decoder)))
            }
        })
    }

    fn push(&mut self, packed: &[u8]) -> Result<(), Problem> {
        let written = match self {
            Self::Identity(bounded) => bounded.write_all(packed),
            Self::Gzip(decoder) => decoder.write_all(packed),
            Self::Zstd(decoder) => decoder.write_all(packed),
        };
        written.map_err(|error| self.fault(&error))
    }

    /// What came out since the last time.
    fn take(&mut self) -> Vec<u8> {
        let bounded = match self {
            Self::Identity(bounded) => bounded,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.writer_mut(),
        };
        std::mem::take(&mut bounded.bytes)
    }

    /// Nothing may be missing at the end.
    fn finish(&mut self) -> Result<(), Problem> {
        let finished = match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        finished.map_err(|error| self.fault(&error))
    }

    fn bounded(&self) -> &Bounded {
        match self {
            Self::Identity(bounded) => bounded,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.writer(),
        }
    }

    fn fault(&self, error: &io::Error) -> Problem {
        let bounded = self.bounded();
        if bounded.is_over {
            return too_large(format!("at most {} bytes are taken, unpacked", bounded.most));
        }
        Problem::new(StatusCode::BAD_REQUEST, "not-unpackable", "The body is not packed as it says")
            .detail(error.to_string())
    }
}

/// Takes so many bytes in all and no more, and holds those that were not taken out.
struct Bounded {
    bytes: Vec<u8>,
    taken: usize,
    most: usize,
    is_over: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if part.len() > self.most - self.taken {
            self.is_over = true;
            return Err(io::Error::other("over the limit"));
        }
        self.taken += part.len();
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::read::GzEncoder;

    use super::*;

    const MOST: usize = 100_000;

    fn packed(coding: Coding, text: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Identity => text.to_vec(),
            Coding::Gzip => {
                let mut packed = Vec::new();
                GzEncoder::new(text, Compression::best()).read_to_end(&mut packed).expect("packs");
                packed
            }
            Coding::Zstd => zstd::encode_all(text, 19).expect("packs"),
        }
    }

    fn unpacked(coding: Coding, packed: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut unpacker = Unpacker::new(coding, MOST)?;
        let mut whole = Vec::new();
        for piece in packed.chunks(7) {
            unpacker.push(piece)?;
            whole.extend(unpacker.take());
        }
        unpacker.finish()?;
        whole.extend(unpacker.take());
        Ok(whole)
    }

    #[test]
    fn what_was_packed_comes_out() {
        let text = b"{\"event_type\": \"user.login\"}\n".repeat(50);
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
            assert_eq!(unpacked(coding, &packed(coding, &text)).expect("unpacks"), text, "{coding:?}");
            // several in a row, as `cat` makes them
            let twice = [packed(coding, &text), packed(coding, &text)].concat();
            assert_eq!(unpacked(coding, &twice).expect("unpacks").len(), 2 * text.len(), "{coding:?}");
            assert_eq!(unpacked(coding, &packed(coding, b"")).expect("unpacks"), b"", "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_is_told_by_what_comes_out_of_it() {
        let bomb = vec![b' '; 50_000_000];
        for coding in [Coding::Gzip, Coding::Zstd] {
            let bomb = packed(coding, &bomb);
            assert!(bomb.len() < MOST, "{}", bomb.len());
            assert_eq!(unpacked(coding, &bomb).expect_err("refused").status, 413, "{coding:?}");
        }
        assert!(unpacked(Coding::Gzip, &packed(Coding::Gzip, &[b' '; MOST])).is_ok());
        assert_eq!(unpacked(Coding::Identity, &[b' '; MOST + 1]).expect_err("refused").status, 413);
    }

    #[test]
    fn what_is_cut_or_no_such_thing_is_refused() {
        let text = b"{\"event_type\": \"user.login\"}\n".repeat(50);
        for coding in [Coding::Gzip, Coding::Zstd] {
            let whole = packed(coding, &text);
            for end in 1..whole.len() {
                let fault = unpacked(coding, &whole[..end]).expect_err("refused");
                assert_eq!(fault.status, 400, "{coding:?} cut at {end}");
            }
            assert_eq!(unpacked(coding, b"{\"event_type\": 1}").expect_err("refused").status, 400);
        }
    }

    #[test]
    fn a_body_is_packed_once() {
        let of = |codings: &[&'static str]| {
            let pairs =
                codings.iter().map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding)));
            Coding::of(&pairs.collect())
        };
        assert_eq!(of(&[]), Ok(Coding::Identity));
        assert_eq!(of(&["identity"]), Ok(Coding::Identity));
        assert_eq!(of(&["GZIP"]), Ok(Coding::Gzip));
        assert_eq!(of(&["zstd"]), Ok(Coding::Zstd));
        for bad in [&["br"][..], &["gzip, zstd"], &[""]] {
            assert_eq!(of(bad).expect_err("refused").status, 415, "{bad:?}");
        }
    }
}
