"""np-simhash64-v2 in Python: the specification in docs/fingerprint.md, made to run.

Written for reading, with nothing but the standard library. Run it to check the golden vectors:

    python3 docs/fingerprint.py
"""

import html.entities
import json
import re
import sys
import unicodedata
from pathlib import Path

MASK = (1 << 64) - 1

# The first 64-bit words of the fractional part of pi.
PI = [
    0x243F6A8885A308D3,
    0x13198A2E03707344,
    0xA4093822299F31D0,
    0x082EFA98EC4E6C89,
    0x452821E638D01377,
    0xBE5466CF34E90C6C,
]

HTML_ELEMENTS = set(
    """a abbr acronym address applet area article aside audio b base basefont bdi bdo big blink
    blockquote body br button canvas caption center cite code col colgroup data datalist dd del
    details dfn dialog dir div dl dt em embed fieldset figcaption figure font footer form frame
    frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend
    li link main map mark marquee menu meta meter nav nobr noframes noscript object ol optgroup
    option output p param path picture pre progress q rp rt ruby s samp script section select slot
    small source span strike strong style sub summary sup svg table tbody td template textarea
    tfoot th thead time title tr track tt u ul var video wbr""".split()
)

# Elements that begin and end within words.
INLINE_ELEMENTS = set(
    """a abbr b bdi big del em font i ins mark nobr s small span strike strong sub sup tt u
    wbr""".split()
)

# Read as something else, or as nothing, before NFKC.
BEFORE_NFKC = dict.fromkeys([0x92, 0xB4, *range(0x2B9, 0x2BE)], "'")
BEFORE_NFKC |= dict.fromkeys([0x2120, 0x2122, 0xFDFA, 0xFDFB], " ")
BEFORE_NFKC |= dict.fromkeys([*range(0xFC5E, 0xFC64), *range(0xFCF2, 0xFCF5), *range(0xFE70, 0xFE80)])

DEFAULT_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

VOWEL_SIGNS = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065e"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08ca-\u08e1\u08e3-\u08ff]"
)

# Read as something else after NFKC and in small letters.
AFTER_NFKC = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "ș": "ş", "ț": "ţ", "ς": "σ", "ё": "е"}
    | dict(zip("άέήίϊΐόύϋΰώ", "αεηιιιουυυω"))
    | {"\u06a9": "\u0643", "\u06cc": "\u064a"}
)
ZEROS = [
    0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0,
    0xF20, 0x1040, 0x17E0,
]  # fmt: skip
AFTER_NFKC |= {zero + digit: str(digit) for zero in ZEROS for digit in range(10)}

SPACELESS = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1a20-\u1aaf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)

NAME = re.compile("[A-Za-z](?:[A-Za-z0-9._-]|:(?=[A-Za-z]))*")
QUOTED_VALUE = re.compile("""=[ \t\n\f\r]*("[^"]*"?|'[^']*'?)?""")
# The signs of markup, as they are and as they may be where the markup begins with an escaped one.
LESS = {False: re.compile("<"), True: re.compile("<|&(?:amp;)*lt;")}
GREATER = {False: re.compile(">"), True: re.compile(">|&(?:amp;)*gt;")}
NUMBER = re.compile("#(?:([0-9]+)|[xX]([0-9A-Fa-f]+));?")


class Markup:
    """Tells where the markup of a text ends."""

    def __init__(self, text: str):
        self.text = text
        self.quotes_from = 0  # before this place quotes in tags mean nothing
        self.inline_end = None  # where the last inline element ended

    def read(self, start: int, inside: int) -> tuple[int, bool] | None:
        """Where the markup ends whose less-than sign stands at start..inside, and whether words end
        there; None if it is no markup."""
        text = self.text
        escaped = text[start:inside].endswith("lt;")
        if text[start:inside] != "<" and not escaped:
            return None
        if text.startswith("!--", inside):
            end = re.compile(f"--(?:{GREATER[escaped].pattern})").search(text, inside + 3)
            return (end.end(), True) if end else None
        if text.startswith("![CDATA[", inside):
            return inside + len("![CDATA["), True
        if text.startswith(("!", "?"), inside):
            end = self.tag_end(inside, escaped)
            return (end[1], True) if end else None
        return self.read_tag(start, inside, escaped)

    def read_tag(self, start: int, inside: int, escaped: bool) -> tuple[int, bool] | None:
        text = self.text
        closing = text.startswith("/", inside)
        name = NAME.match(text, inside + closing)
        if not name or not re.compile(f"[ \t\n\f\r/]|{GREATER[escaped].pattern}").match(text, name.end()):
            return None
        end = self.quoting_tag_end(name.end(), escaped) or self.tag_end(name.end(), escaped)
        if not end:
            return None
        attributes, end = text[name.end() : end[0]], end[1]
        empty = attributes.endswith("/")
        element = name[0].lower()
        if element not in HTML_ELEMENTS:
            foreign = ":" in element or "-" in element and not re.search("[A-Z]", name[0])
            return (end, True) if closing or empty or foreign or "=" in attributes else None
        if element in ("script", "style", "svg") and not closing and not empty:
            less = "<|lt;" if escaped else "<"
            if close := re.compile(f"(?:{less})/{element}", re.IGNORECASE).search(text, end):
                close_end = self.tag_end(close.end(), escaped)
                end = close_end[1] if close_end else close.end()
            return end, True
        if element not in INLINE_ELEMENTS:
            return end, True
        divides = not closing and self.inline_end == start
        if closing:
            self.inline_end = end
        return end, divides

    def quoting_tag_end(self, at: int, escaped: bool) -> tuple[int, int] | None:
        """Where a tag has its greater-than sign, if those within quoted values are none."""
        if escaped or at < self.quotes_from:
            return None
        while at < len(self.text) and self.text[at] != "<":
            if self.text[at] == ">":
                return at, at + 1
            if value := QUOTED_VALUE.match(self.text, at):
                quote = value[1] and value[1][0]
                closed = quote and len(value[1]) > 1 and value[1].endswith(quote)
                at = value.end() if closed or not quote else value.start(1) + 1
            else:
                at += 1
        self.quotes_from = at
        return None

    def tag_end(self, at: int, escaped: bool) -> tuple[int, int] | None:
        """Where the next greater-than sign stands, if no less-than sign comes before it."""
        greater = GREATER[escaped].search(self.text, at)
        if not greater or LESS[escaped].search(self.text, at, greater.start()):
            return None
        return greater.span()


def reference(text: str, at: int) -> tuple[str, int] | None:
    """What the character reference that begins at `at` stands for, and where it ends."""
    found = read_reference(text, at + 1)
    while found and found[0] == "&":
        inner = read_reference(text, found[1])
        if not inner or text[inner[1] - 1] != ";":
            break
        found = inner
    return found


def read_reference(text: str, at: int) -> tuple[str, int] | None:
    if number := NUMBER.match(text, at):
        code = int(number[1]) if number[1] else int(number[2], 16)
        if 0x80 <= code < 0xA0:
            char = bytes([code]).decode("cp1252", errors="ignore") or chr(code)
        else:
            char = chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "\ufffd"
        return char, number.end()
    for length in range(32, 1, -1):
        name = text[at : at + length]
        if name in html.entities.html5:
            return html.entities.html5[name], at + len(name)
    return None


def stretches(text: str):
    """The text without markup, references decoded, in pieces that no blank or tag divides."""
    markup = Markup(text)
    stretch, at = [], 0
    while at < len(text):
        if text[at] in " \t\n\f\r":
            yield "".join(stretch)
            stretch, at = [], at + 1
            continue
        chars, end = text[at], at + 1
        if text[at] == "&":
            chars, end = reference(text, at) or (chars, end)
        if chars == "<" and (read := markup.read(at, end)):
            at, divides = read
            if divides:
                yield "".join(stretch)
                stretch = []
        elif chars in "\u00ac\u00ad" and (line_end := re.compile("\r\n|\n|\r").match(text, end)):
            at = line_end.end()
        else:
            stretch.append(chars)
            at = end
    yield "".join(stretch)


def fold(stretch: str) -> str:
    visible = DEFAULT_IGNORABLE.sub("", stretch.translate(BEFORE_NFKC))
    lowered = "".join(char.lower() for char in unicodedata.normalize("NFKC", visible))
    folded = VOWEL_SIGNS.sub("", lowered.translate(AFTER_NFKC))
    return re.sub("i\u0307+", "i", folded)


def words(text: str) -> list[str]:
    found: list[str] = []
    for stretch in stretches(text):
        folded = fold(stretch)
        pieces = list(word_pieces(folded))
        acronym_end = None  # where an acronym that may go on ends
        for start, end in pieces:
            word = folded[start:end]
            lone = len(word) == 1 and "a" <= word <= "z"
            if lone and start > 0 and folded[start - 1] in "'\u2018\u2019\u201b\u2032":
                acronym_end = None
                continue
            if lone and acronym_end is not None and folded[acronym_end:start] == "." and len(found[-1]) < 16:
                found[-1] += word
            else:
                found.append(word)
            acronym_end = end if lone else None
    return found


def word_pieces(text: str):
    """Start and end of each word: a run of letters, digits and marks that begins with no mark, or
    one letter of a script without blanks and its marks."""
    start = None
    for at, char in enumerate(text):
        category = unicodedata.category(char)[0]
        if start is not None:
            spaceless = SPACELESS.match(char) or SPACELESS.match(text[start])
            if category == "M" or category in "LN" and not spaceless:
                continue
            yield start, at
            start = None
        if category in "LN":
            start = at
    if start is not None:
        yield start, len(text)


def multiply(a: int, b: int) -> int:
    product = a * b
    return (product & MASK) ^ (product >> 64)


def word_hash(word: str) -> int:
    data = word.encode()
    value = len(data)
    for at in range(0, len(data), 16):
        block = int.from_bytes(data[at : at + 16].ljust(16, b"\0"), "little")
        value = multiply((block & MASK) ^ value ^ PI[0], (block >> 64) ^ PI[1])
    return value


def trigram_hash(a: int, b: int, c: int) -> int:
    return multiply(multiply(a ^ PI[2], b ^ PI[3]) ^ PI[4], c ^ PI[5])


def fingerprint(title: str, body: str) -> int | None:
    hashes = [word_hash(word) for word in words(body)]
    if len(hashes) < 5:
        hashes = [word_hash(word) for word in words(title)] + hashes
    if len(hashes) < 5:
        return None
    features = [trigram_hash(*hashes[at : at + 3]) for at in range(len(hashes) - 2)]
    result = 0
    for bit in range(64):
        votes = sum(feature >> bit & 1 for feature in features)
        result |= (2 * votes > len(features)) << bit
    return result


def main() -> int:
    vectors = json.loads((Path(__file__).parent / "fingerprint-vectors.json").read_text())
    failed = 0
    for vector in vectors:
        body = vector["body"] * vector.get("body_times", 1)
        simhash = fingerprint(vector["title"], body)
        shown = None if simhash is None else f"{simhash:016x}"
        if "words" in vector and words(body) != vector["words"] or shown != vector["simhash"]:
            print(f"{vector['name']}: {shown} {words(body)[:30]}, not {vector['simhash']}")
            failed += 1
    print(f"{len(vectors) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
