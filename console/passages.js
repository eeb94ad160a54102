/** Shared passages: where they are in a text. */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Cuts a text at its passages. Their offsets count bytes of UTF-8, as all of the contract do. Where
 * passages lie over each other the earlier one has the text.
 *
 * @param {string} text
 * @param {{ start: number, end: number, pair: number }[]} passages
 * @returns {{ text: string, pair?: number }[]} pieces that make up the text
 */
export function cut(text, passages) {
  const bytes = encoder.encode(text);
  const pieces = [];
  let at = 0;
  const take = (end, pair) => {
    const piece = decoder.decode(bytes.subarray(at, end));
    if (piece) pieces.push(pair === undefined ? { text: piece } : { text: piece, pair });
    at = Math.max(at, end);
  };
  for (const { start, end, pair } of [...passages].sort((a, b) => a.start - b.start)) {
    if (end <= Math.max(at, start) || end > bytes.length) continue;
    if (start > at) take(start);
    take(end, pair);
  }
  take(bytes.length);
  return pieces;
}

/** The passages of a match: in the text at hand, and in the one that is remembered. */
export function passagesOf(overlaps) {
  return {
    here: overlaps.map(({ start, end }, pair) => ({ start, end, pair })),
    there: overlaps.map(({ matchedStart, matchedEnd }, pair) => ({
      start: matchedStart,
      end: matchedEnd,
      pair,
    })),
  };
}

export function words(text) {
  return text.split(/\s+/u).filter(Boolean).length;
}
