//! Articles in HTML pages: the page is the body as it is, and what its head says of it is taken.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};
use newsprint::api::pb;

use super::dates;

/// A page says how it is encoded within so many bytes, or not at all.
const CHARSET_BYTES_MAX: usize = 1024;

/// The article in a page. `charset` is what came with the page, as a server sends it.
pub fn article(page: &[u8], charset: Option<&str>) -> pb::Article {
    let body = decode(page, charset);
    let head = Head::read(&body);
    // A page's title has the name of the site in it; what it gives others to show has not.
    let title = head.shared_title.or(head.title).unwrap_or_default();
    pb::Article {
        title: title.split_whitespace().collect::<Vec<_>>().join(" "),
        url: head.url.unwrap_or_default(),
        source: head.site.unwrap_or_default(),
        publish_time: head.published.as_deref().and_then(dates::parse),
        body,
        ..pb::Article::default()
    }
}

/// The text of a page: by its byte order mark, by what came with it, by what it says itself, and
/// else UTF-8 or, if it cannot be that, what browsers take it for.
fn decode(page: &[u8], charset: Option<&str>) -> String {
    let named = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = named.or_else(|| {
        let start = String::from_utf8_lossy(&page[..page.len().min(CHARSET_BYTES_MAX)]);
        // Who can be read so far is not in UTF-16, whatever he says.
        Encoding::for_label(Head::read(&start).charset?.as_bytes()).map(Encoding::output_encoding)
    });
    let guess = || if std::str::from_utf8(page).is_ok() { UTF_8 } else { WINDOWS_1252 };
    let (text, ..) = encoding.unwrap_or_else(guess).decode(page);
    text.into_owned()
}

/// What the head of a page says.
#[derive(Debug, Default)]
struct Head {
    title: Option<String>,
    shared_title: Option<String>,
    url: Option<String>,
    site: Option<String>,
    published: Option<String>,
    charset: Option<String>,
}

impl Head {
    fn read(page: &str) -> Head {
        let mut head = Head::default();
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut is_title = false;
        for Ok(token) in Tokenizer::new_with_emitter(page, emitter) {
            match token {
                Token::StartTag(tag) => match tag.name.as_slice() {
                    b"body" | b"p" => break,
                    b"title" => is_title = head.title.is_none(),
                    b"meta" => head.take_meta(&tag),
                    b"link" if attribute(&tag, "rel").as_deref() == Some("canonical") => {
                        head.url = attribute(&tag, "href");
                    }
                    _ => {}
                },
                Token::String(text) if is_title => {
                    let title = head.title.get_or_insert_default();
                    title.push_str(&String::from_utf8_lossy(&text));
                }
                Token::EndTag(_) => is_title = false,
                _ => {}
            }
        }
        head
    }

    fn take_meta(&mut self, tag: &StartTag<()>) {
        if let Some(charset) = attribute(tag, "charset") {
            self.charset = Some(charset);
        }
        let Some(content) = attribute(tag, "content") else { return };
        let name = attribute(tag, "property").or_else(|| attribute(tag, "name"));
        match name.unwrap_or_default().to_ascii_lowercase().as_str() {
            "og:title" => self.shared_title = Some(content),
            "og:site_name" => self.site = Some(content),
            "article:published_time" => self.published = Some(content),
            _ if attribute(tag, "http-equiv")
                .is_some_and(|name| name.eq_ignore_ascii_case("content-type")) =>
            {
                self.charset = charset_of(&content).map(str::to_owned);
            }
            _ => {}
        }
    }
}

/// The encoding that a Content-Type names.
pub fn charset_of(content_type: &str) -> Option<&str> {
    content_type.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    let value = String::from_utf8_lossy(value).trim().to_owned();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
        <script>let a = "<title>no</title>";</script>
        <title>Harbour reopens
          after storm &amp; flood | Coast Daily</title>
        <link rel="canonical" href="https://coast.example/harbour">
        <meta property="og:site_name" content="Coast Daily">
        <meta property="article:published_time" content="2026-04-01T00:00:00Z">
        </head><body><svg><title>an icon</title></svg><p>Ships came in.</p></body></html>"#;

    #[test]
    fn the_head_of_a_page_says_what_it_is() {
        let page = article(PAGE.as_bytes(), None);
        assert_eq!(page.title, "Harbour reopens after storm & flood | Coast Daily");
        assert_eq!(page.body, PAGE);
        assert_eq!(page.url, "https://coast.example/harbour");
        assert_eq!(page.source, "Coast Daily");
        assert_eq!(page.publish_time.map(|time| time.seconds), Some(1_775_001_600));
        let shared =
            PAGE.replace("<title>", r#"<meta property="og:title" content="Harbour open"><title>"#);
        assert_eq!(article(shared.as_bytes(), None).title, "Harbour open");
        assert_eq!(article(b"<p>Ships came in.</p>", None).title, "");
        assert_eq!(article(b"", None).body, "");
    }

    #[test]
    fn a_page_is_read_in_its_encoding() {
        let check = |page: &[u8], charset: Option<&str>, title: &str| {
            assert_eq!(article(page, charset).title, title, "{charset:?}");
        };
        check("<title>Größe</title>".as_bytes(), None, "Größe");
        check(b"<title>Gr\xf6\xdfe</title>", None, "Größe");
        check(b"<meta charset=windows-1251><title>\xcf\xee\xf0\xf2</title>", None, "Порт");
        check(
            b"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'><title>\xf0\xcf\xd2\xd4</title>",
            None,
            "Порт",
        );
        check(b"<title>\xcf\xee\xf0\xf2</title>", Some("windows-1251"), "Порт");
        check(b"\xff\xfe<\0t\0i\0t\0l\0e\0>\0o\0k\0<\0/\0t\0i\0t\0l\0e\0>\0", None, "ok");
        assert_eq!(charset_of("text/html; charset=\"UTF-8\""), Some("UTF-8"));
        assert_eq!(charset_of("text/html"), None);
    }
}
