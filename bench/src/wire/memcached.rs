//! memcached's meta commands: `mg` gets, `ms` puts, `md` removes.

use std::collections::VecDeque;

use hotrod::Writer;

use super::{Answer, Outcome, Wire};
use crate::{error::WrongAnswer, plan::Kind};

/// Longest first line of an answer.
const MOST_LINE: usize = 2_048;

/// Requests in flight, in the order in which they are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memcached {
    asked: VecDeque<u64>,
}

impl Memcached {
    /// Creates the state for a window of `depth` requests.
    pub(crate) fn new(depth: usize) -> Self {
        Self { asked: VecDeque::with_capacity(depth) }
    }
}

impl Wire for Memcached {
    #[inline]
    fn encode(&mut self, id: u64, kind: Kind, key: &[u8], value: &[u8], out: &mut Writer) {
        self.asked.push_back(id);
        match kind {
            Kind::Put => {
                out.raw(b"ms ");
                out.raw(key);
                out.byte(b' ');
                decimal(value.len(), out);
                out.raw(b"\r\n");
                out.raw(value);
                out.raw(b"\r\n");
            }
            Kind::Remove => {
                out.raw(b"md ");
                out.raw(key);
                out.raw(b"\r\n");
            }
            Kind::Get | Kind::Next => {
                out.raw(b"mg ");
                out.raw(key);
                out.raw(b" v\r\n");
            }
        }
    }

    #[inline]
    fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Answer<'a>>, WrongAnswer> {
        let Some(Line { text: line, rest }) = Line::first(bytes)? else { return Ok(None) };
        let mut len = bytes.len() - rest.len();
        let outcome = match line {
            [b'V', b'A', b' ', size @ ..] => {
                let size = size.split(|byte| *byte == b' ').next().and_then(number);
                let size = size.ok_or_else(|| unreadable(line))?;
                let Some((value, end)) = rest.split_at_checked(size) else { return Ok(None) };
                let Some(end) = end.first_chunk() else { return Ok(None) };
                if end != b"\r\n" {
                    return Err(unreadable(line));
                }
                len += size + end.len();
                Outcome::Value(value)
            }
            b"HD" | [b'H', b'D', b' ', ..] => Outcome::Done(None),
            b"EN" => Outcome::Missing(Kind::Get),
            b"NF" | [b'N', b'F', b' ', ..] => Outcome::Missing(Kind::Remove),
            b"NS" | [b'N', b'S', b' ', ..] => Outcome::Refused("not stored"),
            line if [&b"ERROR"[..], b"SERVER_ERROR", b"CLIENT_ERROR"]
                .iter()
                .any(|error| line.starts_with(error)) =>
            {
                Outcome::Refused(str::from_utf8(line).map_err(|_not_utf8| unreadable(line))?)
            }
            line => return Err(unreadable(line)),
        };
        let id = self.asked.pop_front().ok_or_else(|| match outcome {
            Outcome::Refused(text) => WrongAnswer::Complaint(text.into()),
            _ => unreadable(line),
        })?;
        Ok(Some(Answer { id, len, outcome }))
    }
}

/// A line without its line break, and the bytes after it.
struct Line<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Line<'a> {
    /// Splits off the first line of `bytes`, if it is complete.
    #[inline]
    fn first(bytes: &'a [u8]) -> Result<Option<Self>, WrongAnswer> {
        let begin = bytes.get(..MOST_LINE).unwrap_or(bytes);
        let Some(end) = begin.iter().position(|byte| *byte == b'\n') else {
            if begin.len() == MOST_LINE {
                return Err(WrongAnswer::LongLine { most: MOST_LINE });
            }
            return Ok(None);
        };
        let Some((line, rest)) = bytes.split_at_checked(end + 1) else { return Ok(None) };
        match line {
            [text @ .., b'\r', b'\n'] => Ok(Some(Self { text, rest })),
            line => Err(unreadable(line)),
        }
    }
}

#[cold]
fn unreadable(line: &[u8]) -> WrongAnswer {
    WrongAnswer::Line(line.escape_ascii().take(80).map(char::from).collect())
}

fn number(digits: &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
}

fn decimal(number: usize, out: &mut Writer) {
    let mut power = 10_usize.pow(number.checked_ilog10().unwrap_or(0));
    while power > 0 {
        out.byte(b'0' + u8::try_from(number / power % 10).unwrap_or(0));
        power /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: Kind, value: &[u8]) -> Vec<u8> {
        let mut out = Writer::default();
        Memcached::default().encode(5, kind, b"key", value, &mut out);
        out.into_bytes()
    }

    fn decoded(bytes: &[u8]) -> Result<Option<Answer<'_>>, WrongAnswer> {
        let mut wire = Memcached { asked: [5].into() };
        wire.decode(bytes)
    }

    #[test]
    fn requests_are_meta_commands() {
        assert_eq!(encoded(Kind::Get, b""), b"mg key v\r\n");
        assert_eq!(encoded(Kind::Put, b"value"), b"ms key 5\r\nvalue\r\n");
        assert_eq!(encoded(Kind::Put, b""), b"ms key 0\r\n\r\n");
        assert_eq!(encoded(Kind::Put, &[b'x'; 1_050])[..13], *b"ms key 1050\r\n");
        assert_eq!(encoded(Kind::Remove, b""), b"md key\r\n");
    }

    #[test]
    fn answers_are_read_whole_and_wherever_they_are_cut() {
        let answers: [(&[u8], Outcome<'_>); 9] = [
            (b"VA 3\r\nabc\r\n", Outcome::Value(b"abc")),
            (b"VA 3 s3 t-1\r\na\r\n\r\n", Outcome::Value(b"a\r\n")),
            (b"VA 0\r\n\r\n", Outcome::Value(b"")),
            (b"EN\r\n", Outcome::Missing(Kind::Get)),
            (b"HD\r\n", Outcome::Done(None)),
            (b"NF\r\n", Outcome::Missing(Kind::Remove)),
            (b"NS\r\n", Outcome::Refused("not stored")),
            (b"SERVER_ERROR out of memory\r\n", Outcome::Refused("SERVER_ERROR out of memory")),
            (b"ERROR\r\n", Outcome::Refused("ERROR")),
        ];
        for (bytes, outcome) in answers {
            let answer = Answer { id: 5, len: bytes.len(), outcome };
            assert_eq!(decoded(bytes), Ok(Some(answer)));
            assert_eq!(decoded(&[bytes, b"HD"].concat()), Ok(Some(answer)));
            for cut in 0..bytes.len() {
                assert_eq!(decoded(&bytes[..cut]), Ok(None), "{cut} bytes of {outcome:?}");
            }
        }
    }

    #[test]
    fn answers_belong_to_requests_in_their_order() {
        let mut wire = Memcached::default();
        let mut out = Writer::default();
        for id in [7, 8] {
            wire.encode(id, Kind::Get, b"k", b"", &mut out);
        }
        assert_eq!(wire.decode(b"EN\r\n").unwrap().unwrap().id, 7);
        assert_eq!(wire.decode(b"EN\r\n").unwrap().unwrap().id, 8);
        assert!(wire.decode(b"EN\r\n").is_err(), "nothing is in flight any more");
    }

    #[test]
    fn a_malformed_answer_is_wrong() {
        for bytes in [
            &b"VA x\r\n"[..],
            b"VA \r\n",
            b"VA 3\r\nabcd\r\n",
            b"VA 99999999999999999999999\r\n",
            b"HELLO\r\n",
            b"HD\n",
            b"\r\n",
            b"\xA1\x00\x50\x81\x0A",
        ] {
            assert!(
                matches!(decoded(bytes), Err(WrongAnswer::Line(_))),
                "{}",
                bytes.escape_ascii()
            );
        }
        assert_eq!(decoded(&[b'x'; MOST_LINE]), Err(WrongAnswer::LongLine { most: MOST_LINE }));
    }
}
