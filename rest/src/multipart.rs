//! Contents of several parts, as forms send them (RFC 7578).

use media::MediaType;

/// The contents of the parts; `None` if this is no such content.
pub(crate) fn parts<'a>(media_type: &MediaType, content: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let boundary = media_type.parameter("boundary").filter(|boundary| !boundary.is_empty())?;
    let delimiter = format!("--{boundary}");
    let (_, mut rest) = split_once(content, delimiter.as_bytes())?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let (part, after) = split_once(rest, delimiter.as_bytes())?;
        let (_, body) = split_once(part, b"\r\n\r\n")?;
        parts.push(body.strip_suffix(b"\r\n")?);
        rest = after;
    }
    Some(parts)
}

fn split_once<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = bytes.windows(at.len()).position(|window| window == at)?;
    let (before, from) = bytes.split_at_checked(start)?;
    Some((before, from.get(at.len()..)?))
}

#[cfg(test)]
mod tests {
    //! What clients send.

    use super::*;

    #[test]
    fn parts_are_found_between_their_boundaries() {
        let media_type: MediaType = "multipart/form-data; boundary=B".parse().unwrap();
        let content = b"--B\r\nContent-Disposition: form-data; name=\"one\"\r\n\r\n{}\r\n\
                        --B\r\nContent-Type: text/plain\r\n\r\n\r\n--B--\r\n";
        assert_eq!(parts(&media_type, content), Some(vec![&b"{}"[..], b""]));
        for broken in [&b""[..], b"--B", b"--B\r\n\r\n{}", b"--B\r\nx\r\n--B--"] {
            assert_eq!(parts(&media_type, broken), None, "{broken:?}");
        }
        assert_eq!(parts(&"multipart/form-data".parse().unwrap(), content), None);
    }
}
