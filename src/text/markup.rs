//! What of a text is markup, and what its character references stand for.
//!
//! Articles come as plain text, as HTML, and as HTML that was escaped once or more on its way
//! through feeds: `&lt;p&gt;` and `&amp;lt;p&amp;gt;` are read as `<p>`.

/// Markup that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Markup {
    /// Just after it.
    pub end: usize,
    /// Whether a word ends there, as at a blank.
    pub divides: bool,
}

/// Tells where markup ends, in time that is linear in the length of the text whatever it holds.
pub(super) struct MarkupReader<'a> {
    text: &'a str,
    /// What was looked for in vain. There is none further on either: looking again would make the
    /// work quadratic.
    missing: Vec<Mark>,
    /// A tag that closes its quotes found no end up to here. Before this place quotes mean nothing.
    quotes_from: usize,
    /// Where the last inline element ended.
    inline_end: Option<usize>,
}

/// The end of what is dropped with its content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    text: &'static str,
    /// Whether what is dropped began with `&lt;`, so that this may be escaped too.
    is_escaped: bool,
}

const COMMENT_END: &str = "--";

impl<'a> MarkupReader<'a> {
    pub fn new(text: &'a str) -> Self {
        MarkupReader { text, missing: Vec::new(), quotes_from: 0, inline_end: None }
    }

    /// The markup that opens with the less-than sign at `start..inside`, if markup it is.
    pub fn read(&mut self, start: usize, inside: usize) -> Option<Markup> {
        let sign = &self.text[start..inside];
        let is_escaped = sign.ends_with("lt;");
        if sign != "<" && !is_escaped {
            return None;
        }
        let rest = &self.text[inside..];
        let end = if rest.starts_with("!--") {
            self.find(inside + 3, Mark { text: COMMENT_END, is_escaped })
        } else if rest.starts_with("![CDATA[") {
            Some(inside + "![CDATA[".len())
        } else if rest.starts_with(['!', '?']) {
            self.tag_end(inside, is_escaped).map(|(_, end)| end)
        } else {
            return self.read_tag(start, inside, is_escaped);
        };
        end.map(|end| Markup { end, divides: true })
    }

    fn read_tag(&mut self, start: usize, inside: usize, is_escaped: bool) -> Option<Markup> {
        let is_closing = self.text[inside..].starts_with('/');
        let name_start = inside + usize::from(is_closing);
        let name = tag_name(&self.text[name_start..]);
        let name_end = name_start + name.len();
        let next = *self.text.as_bytes().get(name_end)?;
        let is_whole = next.is_ascii_whitespace()
            || next == b'/'
            || self.greater_than(name_end, is_escaped).is_some();
        if name.is_empty() || !is_whole {
            return None;
        }
        let (attributes_end, end) = self
            .quoting_tag_end(name_end, is_escaped)
            .or_else(|| self.tag_end(name_end, is_escaped))?;
        let attributes = &self.text[name_end..attributes_end];
        let is_empty = attributes.ends_with('/');
        if !is_one_of(HTML_ELEMENTS, name) {
            let is_foreign = name.contains(':')
                || name.contains('-') && !name.bytes().any(|byte| byte.is_ascii_uppercase());
            let is_markup = is_closing || is_empty || is_foreign || attributes.contains('=');
            return is_markup.then_some(Markup { end, divides: true });
        }
        if !is_closing && !is_empty {
            for close in ["/script", "/style", "/svg"] {
                if name.eq_ignore_ascii_case(&close[1..]) {
                    let end = self.find(end, Mark { text: close, is_escaped }).unwrap_or(end);
                    return Some(Markup { end, divides: true });
                }
            }
        }
        if !is_one_of(INLINE_ELEMENTS, name) {
            return Some(Markup { end, divides: true });
        }
        // Elements side by side, as in a menu, are not one word.
        let divides = !is_closing && self.inline_end == Some(start);
        if is_closing {
            self.inline_end = Some(end);
        }
        Some(Markup { end, divides })
    }

    /// Where a tag has its greater-than sign, if signs within quoted values are none.
    fn quoting_tag_end(&mut self, from: usize, is_escaped: bool) -> Option<(usize, usize)> {
        if is_escaped || from < self.quotes_from {
            return None;
        }
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'>' => return Some((at, at + 1)),
                b'<' => break,
                b'=' => at = value_end(bytes, at + 1),
                _ => at += 1,
            }
        }
        self.quotes_from = at;
        None
    }

    /// Where the next greater-than sign stands, if no less-than sign comes before it.
    fn tag_end(&self, from: usize, is_escaped: bool) -> Option<(usize, usize)> {
        let bytes = self.text.as_bytes();
        let mut at = from;
        loop {
            match bytes.get(at)? {
                b'<' => return None,
                b'&' if is_escaped => {
                    let name = skip_ampersand(bytes, at);
                    match bytes.get(name..name + 3) {
                        Some(b"lt;") => return None,
                        Some(b"gt;") => return Some((at, name + 3)),
                        _ => at = name,
                    }
                }
                b'>' => return Some((at, at + 1)),
                _ => at += 1,
            }
        }
    }

    /// Where the greater-than sign at `at` ends, if one is there.
    fn greater_than(&self, at: usize, is_escaped: bool) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match bytes.get(at)? {
            b'>' => Some(at + 1),
            b'&' if is_escaped => {
                let name = skip_ampersand(bytes, at);
                (bytes.get(name..name + 3) == Some(b"gt;")).then_some(name + 3)
            }
            _ => None,
        }
    }

    /// Just after the next mark of this kind.
    fn find(&mut self, from: usize, mark: Mark) -> Option<usize> {
        if self.missing.contains(&mark) {
            return None;
        }
        let found = self.search(from, mark);
        if found.is_none() {
            self.missing.push(mark);
        }
        found
    }

    fn search(&self, mut from: usize, Mark { text, is_escaped }: Mark) -> Option<usize> {
        let bytes = self.text.as_bytes();
        loop {
            let found = bytes
                .get(from..)?
                .windows(text.len())
                .position(|window| window.eq_ignore_ascii_case(text.as_bytes()))?;
            let (start, end) = (from + found, from + found + text.len());
            if text == COMMENT_END {
                if let Some(end) = self.greater_than(end, is_escaped) {
                    return Some(end);
                }
            } else if bytes[..start].ends_with(b"<")
                || is_escaped && bytes[..start].ends_with(b"lt;")
            {
                return Some(self.tag_end(end, is_escaped).map_or(end, |(_, end)| end));
            }
            from = start + 1;
        }
    }
}

/// The name at the start of a tag: letters and digits, `-`, `_` and `.`; a colon if a letter comes
/// after it. It begins with a letter.
fn tag_name(rest: &str) -> &str {
    let bytes = rest.as_bytes();
    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    let goes_on = |&at: &usize| match bytes[at] {
        b'-' | b'_' | b'.' => true,
        b':' => is_letter(at + 1),
        byte => byte.is_ascii_alphanumeric(),
    };
    let len = if is_letter(0) { (0..bytes.len()).take_while(goes_on).count() } else { 0 };
    &rest[..len]
}

/// Where the value of an attribute ends, if it is quoted: just after its quotes. Otherwise where it
/// begins.
fn value_end(bytes: &[u8], from: usize) -> usize {
    let blanks = bytes[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let start = from + blanks;
    match bytes.get(start) {
        Some(quote @ (b'"' | b'\'')) => {
            let value = start + 1;
            let len = bytes[value..].iter().position(|byte| byte == quote);
            len.map_or(value, |len| value + len + 1)
        }
        _ => start,
    }
}

/// Just after `&`, or after `&amp;`, `&amp;amp;` and so on.
fn skip_ampersand(bytes: &[u8], at: usize) -> usize {
    let mut name = at + 1;
    while bytes.get(name..name + 4) == Some(b"amp;") {
        name += 4;
    }
    name
}

/// What is left of a text without markup, and with its character references decoded.
pub(super) fn visible(text: &str) -> String {
    let mut markup = MarkupReader::new(text);
    let mut left = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(char) = text[at..].chars().next() {
        let found = if char == '&' { reference(&text[at..]) } else { None };
        let found = found.unwrap_or(Reference { first: char, second: None, len: char.len_utf8() });
        let end = at + found.len;
        if found.first == '<'
            && let Some(markup) = markup.read(at, end)
        {
            at = markup.end;
        } else {
            left.extend([Some(found.first), found.second].into_iter().flatten());
            at = end;
        }
    }
    left
}

/// What a character reference stands for, one code point or two, and how many bytes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub first: char,
    pub second: Option<char>,
    pub len: usize,
}

/// The character reference at the start of a text, as in HTML
/// (<https://html.spec.whatwg.org/#named-character-references>). One that was escaped, such as
/// `&amp;eacute;`, is the one it was before.
pub(super) fn reference(text: &str) -> Option<Reference> {
    let mut reference = read_reference(text, 1)?;
    while reference.first == '&' {
        match read_reference(text, reference.len) {
            Some(inner) if text[..inner.len].ends_with(';') => reference = inner,
            _ => break,
        }
    }
    Some(reference)
}

/// The reference whose name begins at `start`.
fn read_reference(text: &str, start: usize) -> Option<Reference> {
    let name = &text[start..];
    let (first, second, len) =
        if let Some(number) = name.strip_prefix('#') { numeric(number)? } else { named(name)? };
    Some(Reference { first, second, len: start + len })
}

/// A reference by number, without its `&#`, and the length of the whole without `&`.
fn numeric(number: &str) -> Option<(char, Option<char>, usize)> {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let digit_count = digits.bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    let (digits, rest) = digits.split_at(digit_count);
    if digits.is_empty() {
        return None;
    }
    let char = match u32::from_str_radix(digits, radix) {
        Ok(code @ 0x80..=0x9f) => WINDOWS_1252[code as usize - 0x80],
        Ok(code @ 1..) => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    Some((char, None, 1 + number.len() - rest.len()))
}

/// What HTML takes the numbers 128 to 159 for: the bytes of Windows-1252.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The longest name in the list of the standard, with its semicolon.
const NAME_BYTES_MAX: usize = 32;

/// The longest name of a reference that the text begins with. Some names need no semicolon.
fn named(name: &str) -> Option<(char, Option<char>, usize)> {
    let bytes = name.as_bytes().iter().take(NAME_BYTES_MAX);
    let letters = bytes.take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let len = letters + usize::from(name.as_bytes().get(letters) == Some(&b';'));
    let mut written = [b'&'; 2 + NAME_BYTES_MAX];
    let written = written.get_mut(..=len)?;
    written[1..].copy_from_slice(&name.as_bytes()[..len]);
    let written = std::str::from_utf8(written).ok()?;
    let decoded = htmlize::unescape(written);
    if letters == 0 || decoded == written {
        return None;
    }
    let mut chars = decoded.chars();
    let first = chars.next()?;
    let rest = chars.as_str();
    // Of a name without semicolon what comes after it is left as it was.
    if !rest.is_empty() && written.ends_with(rest) {
        Some((first, None, len - rest.len()))
    } else {
        Some((first, rest.chars().next(), len))
    }
}

/// Names of the HTML elements, current and obsolete. Of other names in angle brackets most are
/// text: a ticker such as `<IBM>`, an address, a formula.
static HTML_ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "applet",
    "area",
    "article",
    "aside",
    "audio",
    "b",
    "base",
    "basefont",
    "bdi",
    "bdo",
    "big",
    "blink",
    "blockquote",
    "body",
    "br",
    "button",
    "canvas",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "data",
    "datalist",
    "dd",
    "del",
    "details",
    "dfn",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figcaption",
    "figure",
    "font",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "legend",
    "li",
    "link",
    "main",
    "map",
    "mark",
    "marquee",
    "menu",
    "meta",
    "meter",
    "nav",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "output",
    "p",
    "param",
    "path",
    "picture",
    "pre",
    "progress",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "script",
    "section",
    "select",
    "slot",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "track",
    "tt",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
];

/// Elements that begin and end within words: a drop cap, a part in bold, a link on a stem. They are
/// in the list above too.
static INLINE_ELEMENTS: &[&str] = &[
    "a", "abbr", "b", "bdi", "big", "del", "em", "font", "i", "ins", "mark", "nobr", "s", "small",
    "span", "strike", "strong", "sub", "sup", "tt", "u", "wbr",
];

/// Whether a name is in a sorted list of names in small letters.
fn is_one_of(elements: &[&str], name: &str) -> bool {
    let mut lowered = [0u8; 10];
    let Some(lowered) = lowered.get_mut(..name.len()) else { return false };
    lowered.copy_from_slice(name.as_bytes());
    lowered.make_ascii_lowercase();
    elements.binary_search_by(|element| element.as_bytes().cmp(lowered)).is_ok()
}
