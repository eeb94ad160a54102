/** What views are made of. */

import { Code, MatchKind, NewsprintError, Reliability, Verdict } from "./client.js";
import { cut, passagesOf, words } from "./passages.js";

/** An element with properties and children. Text is only ever put in as text. */
export function el(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, each] of Object.entries(value)) element.style.setProperty(name, each);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

export const link = (href, ...children) => el("a", { href }, ...children);
export const articlePath = (collection, id) => `#/article/${collection}/${encodeURIComponent(id)}`;
export const storyPath = (collection, id) => `#/story/${collection}/${encodeURIComponent(id)}`;
export const archivePath = (collection) => `#/archive/${collection}`;

const whole = new Intl.NumberFormat("en-GB");
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const count = (number) => whole.format(number);
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : many}`;

/** Never a hundred or nothing unless it is. */
export function percent(share) {
  if (share > 0 && share < 0.01) return "under 1 %";
  if (share < 1 && share > 0.99) return "over 99 %";
  return `${Math.round(share * 100)} %`;
}

export function time(timestamp) {
  if (!timestamp) return undefined;
  const date = new Date(Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6);
  return el("time", { datetime: date.toISOString() }, moment.format(date));
}

export const VERDICTS = {
  [Verdict.UNIQUE]: { name: "Unique", kind: "unique", says: "Nothing like it is remembered." },
  [Verdict.EXACT_DUPLICATE]: {
    name: "Exact duplicate",
    kind: "exact",
    says: "The same title and body are remembered.",
  },
  [Verdict.NEAR_DUPLICATE]: {
    name: "Near duplicate",
    kind: "near",
    says: "The same text is remembered in an edited form.",
  },
  [Verdict.PARTIAL_DUPLICATE]: {
    name: "Partial duplicate",
    kind: "partial",
    says: "It shares a substantial part with an article that is remembered.",
  },
  [Verdict.INSUFFICIENT_TEXT]: {
    name: "Too short to tell",
    kind: "short",
    says: "A verdict needs at least five words.",
  },
};
const UNKNOWN_VERDICT = { name: "No verdict", kind: "short", says: "" };

export const verdictOf = (analysis) => VERDICTS[analysis?.duplicates?.verdict] ?? UNKNOWN_VERDICT;

const KINDS = {
  [MatchKind.EXACT]: "exact copy",
  [MatchKind.NEAR]: "edited copy",
  [MatchKind.PARTIAL]: "shares a part",
};

const RELIABILITIES = {
  [Reliability.UNSUPPORTED_LANGUAGE]:
    "The model was not trained on this language, so no topic is assigned.",
  [Reliability.INSUFFICIENT_TEXT]:
    "The text has too few words that the model knows, so no topic is assigned.",
};

const languages = new Intl.DisplayNames("en", { type: "language", fallback: "code" });

export function languageName(tag) {
  try {
    return tag && languages.of(tag);
  } catch {
    return tag;
  }
}

/** The topics that an article is about, in a line. */
export function topicLine(analysis) {
  const assigned = (analysis?.classification?.topics ?? []).filter((topic) => topic.assigned);
  return assigned.map(({ topic }) => el("span", { class: "tag" }, topic));
}

/** Every topic with its probability and, where they are known, the words that weighed. */
export function topics(classification) {
  const { topics = [], reliability } = classification ?? {};
  return el(
    "section",
    { class: "topics", "aria-labelledby": "topics-heading" },
    el("h3", { id: "topics-heading" }, "Topics"),
    RELIABILITIES[reliability] && el("p", { class: "notice" }, RELIABILITIES[reliability]),
    el("ol", { class: "plain" }, topics.map((each) => topic(each, reliability === Reliability.RELIABLE))),
  );
}

function topic({ topic, probability, threshold, assigned, evidence }, isReliable) {
  const short = isReliable ? `not assigned, from ${percent(threshold)}` : "not assigned";
  const bar = el(
    "div",
    { class: "bar", "aria-hidden": "true", style: { "--share": probability, "--threshold": threshold } },
    el("i"),
  );
  return el(
    "li",
    { class: assigned ? "topic assigned" : "topic" },
    el(
      "p",
      { class: "topic-line" },
      el("span", { class: "topic-name" }, topic),
      el("span", { class: "topic-share" }, percent(probability)),
      el("span", { class: "hint" }, assigned ? "assigned" : short),
    ),
    bar,
    evidence.length > 0 && weights(topic, evidence),
  );
}

const SPECIAL_WORDS = { "(bias)": "before any word", "(rest)": "all other words" };

function weights(topic, evidence) {
  const heaviest = Math.max(...evidence.map(({ weight }) => Math.abs(weight)));
  const rows = evidence.map(({ text, weight }) =>
    el(
      "tr",
      { class: weight < 0 ? "against" : "for" },
      el("th", { scope: "row", class: text in SPECIAL_WORDS ? "hint" : undefined }, SPECIAL_WORDS[text] ?? text),
      el("td", { class: "figure" }, `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`),
      el(
        "td",
        { "aria-hidden": "true" },
        el("i", { class: "weight", style: { "--share": Math.abs(weight) / heaviest } }),
      ),
    ),
  );
  return el(
    "details",
    { class: "weights" },
    el("summary", null, `The words that weighed for ${topic}`),
    el(
      "table",
      null,
      el(
        "thead",
        { class: "visually-hidden" },
        el("tr", null, el("th", { scope: "col" }, "Word"), el("th", { scope: "col" }, "Weight"), el("td", null)),
      ),
      el("tbody", null, rows),
    ),
  );
}

/** What an analysis says, beside topics and matches. */
export function facts(analysis) {
  const { classification, fingerprint, duplicates } = analysis;
  return definitions([
    ["Language", languageName(classification?.detectedLanguage) || "unknown"],
    ["Fingerprint", el("code", null, fingerprint?.simhash ?? "none")],
    ["Scheme", fingerprint?.scheme],
    ["Model", classification?.modelVersion],
    ["Matches", duplicates?.truncated ? "there may be more" : undefined],
  ]);
}

export function definitions(pairs) {
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== undefined && value !== "")
      .map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))),
  );
}

/** In which way a match is alike, in a line. */
export function likeness({ kind, similarity, containment, hammingDistance, sameSource }) {
  const figures = [KINDS[kind]];
  if (kind === MatchKind.PARTIAL) figures.push(`${percent(containment)} of the shorter text`);
  else if (kind === MatchKind.NEAR) figures.push(`${percent(similarity)} shared`);
  if (hammingDistance !== undefined) figures.push(`${plural(hammingDistance, "bit")} apart`);
  if (sameSource) figures.push("same source");
  return figures.filter(Boolean).join(" · ");
}

/** Two texts side by side, what they share marked in both, where that is known. */
export function sideBySide(here, there, overlaps) {
  const passages = passagesOf(overlaps ?? []);
  const pane = el("div", { class: "side-by-side" }, column(here, passages.here), column(there, passages.there));
  const show = (event) => {
    const mark = event.target.closest?.("mark");
    if (!mark) return;
    for (const each of pane.querySelectorAll("mark")) {
      each.classList.toggle("chosen", each.dataset.pair === mark.dataset.pair);
    }
    if (event.type !== "click") return;
    const other = [...pane.querySelectorAll("mark")].find(
      (each) => each.dataset.pair === mark.dataset.pair && each !== mark,
    );
    other?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  for (const type of ["click", "pointerover", "focusin"]) pane.addEventListener(type, show);
  return el(
    "section",
    { class: "comparison", "aria-labelledby": "comparison-heading" },
    el("h3", { id: "comparison-heading" }, "Side by side"),
    overlaps &&
      el(
        "p",
        { class: "hint" },
        overlaps.length > 0
          ? `${plural(overlaps.length, "passage")} shared, marked in both texts.`
          : "No passage of some length is shared word for word.",
      ),
    pane,
  );
}

function column({ label, title, note, body, href }, passages) {
  const text = cut(body, passages).map(({ text, pair }) =>
    pair === undefined
      ? text
      : el(
          "mark",
          { "data-pair": pair },
          el("span", { class: "visually-hidden" }, `Shared passage ${pair + 1}: `),
          text,
          el("span", { class: "visually-hidden" }, " End of the passage."),
        ),
  );
  return el(
    "article",
    { class: "column" },
    el("p", { class: "eyebrow" }, label),
    el("h4", null, href ? link(href, title || "Untitled") : title || "Untitled"),
    note && el("p", { class: "byline" }, note),
    body
      ? el("div", { class: "prose", tabindex: "0", role: "region", "aria-label": `${label}: its text` }, text)
      : el("p", { class: "notice" }, "The collection does not keep the text of its articles."),
  );
}

export function length(body) {
  return body ? plural(words(body), "word") : undefined;
}

/** An article in a list. */
export function entry(collection, { article, analysis, submitTime, revision }, { isInStory } = {}) {
  const verdict = verdictOf(analysis);
  const story = !isInStory && analysis?.duplicates?.storyId;
  const line = [article.source, time(submitTime), revision > 1 && `revision ${revision}`].filter(Boolean);
  return el(
    "li",
    { class: "entry" },
    el("h3", null, link(articlePath(collection, article.articleId), article.title || article.articleId)),
    el("p", { class: "byline" }, line.flatMap((part, at) => (at ? [" · ", part] : [part]))),
    el(
      "p",
      { class: "tags" },
      el("span", { class: `verdict-tag ${verdict.kind}` }, verdict.name),
      topicLine(analysis),
      story && verdict.kind !== "unique" && link(storyPath(collection, story), "its story"),
    ),
  );
}

/** What went wrong, in words, and what can be done. */
export function failure(error, again) {
  if (!(error instanceof NewsprintError)) throw error;
  const needsToken = error.code === Code.Unauthenticated;
  const title = needsToken
    ? "The server asks for a token"
    : error.code === Code.PermissionDenied
      ? "This token may not do that"
      : error.isPassing
        ? "Not at the moment"
        : error.fields.length > 0
          ? "Something is missing or wrong"
          : "That did not work";
  return el(
    "div",
    { class: "failure", role: "alert" },
    el("h2", null, title),
    error.fields.length > 0
      ? el(
          "ul",
          null,
          error.fields.map(({ field, description }) => el("li", null, el("code", null, field), ` ${description}`)),
        )
      : el("p", null, sentence(error.plainMessage)),
    error.reason && el("p", { class: "hint" }, el("code", null, error.reason)),
    again && error.isPassing && el("button", { type: "button", onclick: again }, "Try again"),
  );
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** Says something to those who hear the page. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
