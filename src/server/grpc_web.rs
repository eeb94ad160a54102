//! gRPC-Web: gRPC in a form that browsers can send and read. Requests are framed as in gRPC; the
//! status comes as a last frame of the body, because no browser shows trailers. In the text form,
//! for browsers that can only read text as it comes, the body is base64.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The first byte of the frame that holds the trailers.
const TRAILERS_FLAG: u8 = 0x80;

/// What of an answer's headers is its status, if it has no body: what else is there stays.
const STATUS_HEADERS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// In which form a call comes and is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Web,
    WebText,
}

impl Protocol {
    /// What the content type says, or nothing if it is of none of these forms.
    /// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>: anything else is
    /// to be answered 415 Unsupported Media Type.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim_end();
        match media_type.to_ascii_lowercase().as_str() {
            "application/grpc" | "application/grpc+proto" => Some(Protocol::Grpc),
            "application/grpc-web" | "application/grpc-web+proto" => Some(Protocol::Web),
            "application/grpc-web-text" | "application/grpc-web-text+proto" => {
                Some(Protocol::WebText)
            }
            _ => None,
        }
    }

    /// How an answer's body is to be written, if not as the framework does.
    pub fn writer(self) -> Option<Writer> {
        match self {
            Protocol::Grpc => None,
            Protocol::Web => Some(Writer { is_text: false }),
            Protocol::WebText => Some(Writer { is_text: true }),
        }
    }
}

/// Writes the body of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    is_text: bool,
}

impl Writer {
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self.is_text {
            false => "application/grpc-web+proto",
            true => "application/grpc-web-text+proto",
        })
    }

    /// A piece of the body. Each piece of text is padded by itself, which the protocol allows, so
    /// that a message can be read before the next is there.
    pub fn data(self, data: Bytes) -> Bytes {
        if self.is_text { STANDARD.encode(data).into() } else { data }
    }

    /// The last piece.
    pub fn trailers(self, trailers: &HeaderMap) -> Bytes {
        let len: usize =
            trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let mut frame = BytesMut::with_capacity(5 + len);
        frame.put_u8(TRAILERS_FLAG);
        frame.put_u32(len as u32);
        for (name, value) in trailers {
            frame.put(name.as_str().as_bytes());
            frame.put(&b": "[..]);
            frame.put(value.as_bytes());
            frame.put(&b"\r\n"[..]);
        }
        self.data(frame.freeze())
    }
}

/// Takes the status out of the headers of an answer that has no body. In the body it can be read
/// from every origin, whatever headers that may see.
pub fn take_status(headers: &mut HeaderMap) -> Option<HeaderMap> {
    let mut status = HeaderMap::new();
    for name in STATUS_HEADERS {
        if let Some(value) = headers.remove(name) {
            status.insert(HeaderName::from_static(name), value);
        }
    }
    (!status.is_empty()).then_some(status)
}

/// Reads base64 as it comes, in pieces of any size, of which some may be padded.
#[derive(Debug, Default)]
pub struct TextReader {
    /// Up to three characters that were not enough for a byte.
    rest: Vec<u8>,
}

impl TextReader {
    /// What can be read now; what is left over waits for more.
    pub fn read(&mut self, text: &[u8]) -> Result<Bytes, base64::DecodeError> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(text);
        self.rest = all.split_off(all.len() - all.len() % 4);
        let mut data = Vec::with_capacity(all.len() / 4 * 3);
        let mut text = &all[..];
        while !text.is_empty() {
            // Padding ends what was encoded together.
            let padding = text.iter().position(|&byte| byte == b'=');
            let end = padding.map_or(text.len(), |at| at - at % 4 + 4);
            let (together, others) = text.split_at(end);
            STANDARD.decode_vec(together, &mut data)?;
            text = others;
        }
        Ok(data.into())
    }

    /// Whether nothing is left over, as it has to be at the end.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_name_the_form() {
        let check = |value: &str, expected: Option<Protocol>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(Protocol::of(&headers), expected, "{value}");
        };
        check("application/grpc", Some(Protocol::Grpc));
        check("application/grpc+proto; x=y", Some(Protocol::Grpc));
        check("application/grpc-web", Some(Protocol::Web));
        check("Application/gRPC-Web+proto", Some(Protocol::Web));
        check("application/grpc-web-text", Some(Protocol::WebText));
        check("application/grpc-web-text+proto;charset=utf-8", Some(Protocol::WebText));
        for other in ["application/grpc+json", "application/grpc-web+json", "application/grpcx", ""]
        {
            check(other, None);
        }
        assert_eq!(Protocol::of(&HeaderMap::new()), None);
    }

    #[test]
    fn text_is_read_however_it_is_cut_and_padded() {
        let parts: [&[u8]; 5] = [b"a", b"bc", b"", b"defgh", &[0, 255, 128]];
        let text: String = parts.iter().map(|part| STANDARD.encode(part)).collect();
        for size in 1..=text.len() {
            let mut reader = TextReader::default();
            let mut data = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                data.extend_from_slice(&reader.read(piece).unwrap());
            }
            assert_eq!(data, parts.concat(), "in pieces of {size}");
            assert!(reader.is_done());
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in ["!!!!", "ab=c", "====", "a===", "YQ==YQ=x"] {
            assert!(TextReader::default().read(text.as_bytes()).is_err(), "{text}");
        }
        let mut reader = TextReader::default();
        assert_eq!(reader.read(b"YWJjZ").unwrap(), "abc");
        assert!(!reader.is_done());
    }

    #[test]
    fn trailers_are_a_frame_of_lines() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("5"));
        trailers.insert("grpc-message", HeaderValue::from_static("not there"));
        let frame = Writer { is_text: false }.trailers(&trailers);
        let lines = b"grpc-status: 5\r\ngrpc-message: not there\r\n";
        assert_eq!(frame, [&[0x80, 0, 0, 0, lines.len() as u8], &lines[..]].concat());
    }

    #[test]
    fn the_status_leaves_the_headers_and_nothing_else_does() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static("5"));
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("gzip"));
        let status = take_status(&mut headers).unwrap();
        assert_eq!((status.len(), headers.len()), (1, 1));
        assert!(take_status(&mut headers).is_none());
    }
}
