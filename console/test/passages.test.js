import assert from "node:assert/strict";
import { test } from "node:test";

import { cut, passagesOf } from "../passages.js";

const bytes = (text) => new TextEncoder().encode(text).length;

test("a text is cut at its passages, by bytes", () => {
  const text = "Über den Hafen – 港 – sprach niemand.";
  const start = bytes("Über ");
  const end = start + bytes("den Hafen – 港");
  assert.deepEqual(cut(text, [{ start, end, pair: 4 }]), [
    { text: "Über " },
    { text: "den Hafen – 港", pair: 4 },
    { text: " – sprach niemand." },
  ]);
});

test("passages may come in any order, touch, lie over each other and be nonsense", () => {
  const check = (passages, expected) => {
    const pieces = cut("0123456789", passages);
    assert.equal(pieces.map(({ text }) => text).join(""), "0123456789");
    assert.deepEqual(pieces.map(({ text, pair }) => (pair === undefined ? text : `${pair}:${text}`)), expected);
  };
  check([], ["0123456789"]);
  check([{ start: 0, end: 10, pair: 0 }], ["0:0123456789"]);
  check([{ start: 5, end: 7, pair: 0 }, { start: 2, end: 5, pair: 1 }], ["01", "1:234", "0:56", "789"]);
  check([{ start: 2, end: 6, pair: 0 }, { start: 4, end: 8, pair: 1 }], ["01", "0:2345", "1:67", "89"]);
  check([{ start: 2, end: 6, pair: 0 }, { start: 3, end: 5, pair: 1 }], ["01", "0:2345", "6789"]);
  check([{ start: 8, end: 12, pair: 0 }, { start: 4, end: 4, pair: 1 }], ["0123456789"]);
  assert.deepEqual(cut("", []), []);
});

test("a match has its passages in both texts", () => {
  const { here, there } = passagesOf([{ start: 1, end: 3, matchedStart: 5, matchedEnd: 7 }]);
  assert.deepEqual(here, [{ start: 1, end: 3, pair: 0 }]);
  assert.deepEqual(there, [{ start: 5, end: 7, pair: 0 }]);
});
