"""np-simhash64-v1 in Python: the specification in docs/fingerprint.md, made to run.

Written for reading, with nothing but the standard library. Run it to check the golden vectors:

    python3 docs/fingerprint.py
"""

import html
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

DEFAULT_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

SPACELESS = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1a20-\u1aaf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)

REFERENCE = re.compile(r"&([0-9A-Za-z#]{1,32});")
TAG = re.compile(r"<(/?)([0-9A-Za-z]+)[^<>]*>")
DECLARATION = re.compile(r"<[!?][^<>]*>")


def skip_markup(text: str, at: int) -> int | None:
    """Where the markup that opens at `at` ends, if markup it is."""
    if text.startswith("<!--", at):
        end = text.find("-->", at + 4)
        return end + 3 if end >= 0 else None
    if declaration := DECLARATION.match(text, at):
        return declaration.end()
    tag = TAG.match(text, at)
    if not tag or tag[2].lower() not in HTML_ELEMENTS:
        return None
    if not tag[1] and tag[2].lower() in ("script", "style"):
        if close := re.compile(f"</{tag[2]}[^>]*>?", re.IGNORECASE).search(text, tag.end()):
            return close.end() if close[0].endswith(">") else close.start() + 2 + len(tag[2])
    return tag.end()


def stretches(text: str):
    """The text without markup, references decoded, in pieces that no blank or tag divides."""
    stretch, at = [], 0
    while at < len(text):
        char = text[at]
        if char in " \t\n\f\r":
            yield "".join(stretch)
            stretch, at = [], at + 1
        elif char == "<" and (end := skip_markup(text, at)):
            yield "".join(stretch)
            stretch, at = [], end
        elif (reference := REFERENCE.match(text, at)) and 0 < len(
            decoded := html.unescape(reference[0])
        ) <= 2:
            stretch.append(decoded)
            at = reference.end()
        else:
            stretch.append(char)
            at += 1
    yield "".join(stretch)


def fold_case(stretch: str) -> str:
    composed = unicodedata.normalize("NFKC", DEFAULT_IGNORABLE.sub("", stretch))
    lowered = "".join(char.lower() for char in composed)
    return lowered.replace("ß", "ss").replace("ς", "σ")


def words(text: str) -> list[str]:
    found: list[str] = []
    for stretch in stretches(text):
        folded = fold_case(stretch)
        pieces = list(word_pieces(folded))
        acronym_end = None  # where an acronym that may go on ends
        for start, end in pieces:
            word = folded[start:end]
            lone = len(word) == 1 and "a" <= word <= "z"
            if lone and start > 0 and folded[start - 1] in "'\u2018\u2019\u201b\u02bc\u2032":
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


def fold(a: int, b: int) -> int:
    product = a * b
    return (product & MASK) ^ (product >> 64)


def word_hash(word: str) -> int:
    data = word.encode()
    value = len(data)
    for at in range(0, len(data), 16):
        block = int.from_bytes(data[at : at + 16].ljust(16, b"\0"), "little")
        value = fold((block & MASK) ^ value ^ PI[0], (block >> 64) ^ PI[1])
    return value


def trigram_hash(a: int, b: int, c: int) -> int:
    return fold(fold(a ^ PI[2], b ^ PI[3]) ^ PI[4], c ^ PI[5])


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
