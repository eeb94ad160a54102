/** The pages: reading an article, the archive, an article that is remembered, a story. */

import { ArticleView, Code } from "./client.js";
import {
  announce,
  archivePath,
  articlePath,
  count,
  definitions,
  el,
  entry,
  facts,
  failure,
  length,
  likeness,
  link,
  plural,
  sideBySide,
  storyPath,
  time,
  topics,
  verdictOf,
} from "./parts.js";

const PAGE_SIZE = 20;
const MATCHES_MAX = 20;
export const DEFAULT_COLLECTION = "default";

const EXAMPLE = {
  title: "Strait closed to grain ships as Corvane and Ilmark trade blame",
  source: "The Ferrow Sentinel",
  body: `FERROW - The navy of Corvane closed the Strait of Ansel to foreign grain ships on Thursday, two days after a freighter under the flag of Ilmark struck a mine there, and said that it would search every vessel until the channel had been swept.

Ilmark's foreign minister, Hedda Marsk, called the closure a blockade by another name. She told parliament that a third of the country's wheat exports pass the strait in autumn, and that her government would raise duties on Corvanian steel if it was not lifted within a week.

Both governments deny having laid the mine. Soldiers of the two countries exchanged fire across the strait for several hours on Wednesday night; at least three were wounded. The prime minister of Corvane, who faces a confidence vote on Monday, has so far refused to send a delegation to the talks that neighbouring Sund has offered to host.

Insurers doubled their premiums for the route. "Nobody loads a ship that he cannot be sure to see again," said a grain merchant in the port of Ferrow.`,
};

/** What was typed, so that it is still there when one comes back from the archive. */
const draft = { title: "", body: "", source: "", collection: DEFAULT_COLLECTION };

/** Reads an article: analyses it, or submits it if told to. */
export function reader({ client, onStored }) {
  const result = el("div", { class: "result" });
  const below = el("div");
  const fields = {
    title: field("Headline", el("textarea", { id: "title", name: "title", rows: "1", autocomplete: "off" })),
    body: field(
      "Text",
      el("textarea", { id: "body", name: "body", rows: "14", spellcheck: "false" }),
      "Paste it, or drop a text file here: its first line is the headline.",
    ),
    source: field("Source", el("input", { id: "source", name: "source", autocomplete: "off" })),
    collection: field(
      "Collection",
      el("input", { id: "collection", name: "collection", autocomplete: "off", list: "collections", spellcheck: "false" }),
    ),
  };
  const input = (name) => fields[name].querySelector("input, textarea");
  for (const name of Object.keys(draft)) {
    input(name).value = draft[name];
    input(name).addEventListener("input", () => (draft[name] = input(name).value));
  }

  const analyse = el("button", { type: "submit", class: "primary", "aria-describedby": "analyse-note" }, "Analyse");
  const submit = el("button", { type: "button", "aria-describedby": "submit-note", onclick: () => run(true) }, "Analyse and store");
  const form = el(
    "form",
    { class: "reader-form", "aria-label": "An article", novalidate: true },
    fields.title,
    fields.body,
    el("div", { class: "pair" }, fields.source, fields.collection),
    el("datalist", { id: "collections" }),
    el(
      "div",
      { class: "actions" },
      el("div", null, analyse, el("p", { class: "hint", id: "analyse-note" }, "Nothing is stored.")),
      el("div", null, submit, el("p", { class: "hint", id: "submit-note" }, "The collection remembers it.")),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(false);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run(false);
    }
  });
  acceptFiles(form, fill);

  function fill({ title, body, source = "" }) {
    Object.assign(draft, { title, body, source });
    for (const name of ["title", "body", "source"]) input(name).value = draft[name];
    announce(`Filled in: ${title || "a text without a headline"}`);
    input("body").focus();
  }

  let running;
  async function run(isStored) {
    running?.abort();
    const call = (running = new AbortController());
    for (const name of Object.keys(fields)) mark(fields[name]);
    form.setAttribute("aria-busy", "true");
    below.replaceChildren();
    result.replaceChildren(el("p", { class: "waiting" }, isStored ? "Storing it…" : "Reading…"));
    const { title, body, source } = draft;
    const collection = draft.collection.trim();
    try {
      const article = { title, body, source };
      const options = { explain: true, maxMatches: MATCHES_MAX };
      const settings = { collection, options, signal: call.signal };
      const outcome = isStored ? await client.submit(article, settings) : undefined;
      const analysis = outcome ? outcome.analysis : await client.analyze(article, settings);
      const compare = comparer(client, outcome?.collection ?? collection, article, below);
      await compare(analysis.duplicates.matches[0]);
      if (call.signal.aborted) return;
      result.replaceChildren(found({ collection, analysis, outcome, compare }));
      const verdict = verdictOf(analysis);
      announce(`${verdict.name}. ${verdict.says}`);
      if (isStored) onStored();
      result.querySelector("h2")?.focus();
    } catch (error) {
      if (call.signal.aborted) return;
      result.replaceChildren(failure(error, () => run(isStored)));
      for (const { field, description } of error.fields) {
        const name = field.split(".").at(-1);
        if (fields[name]) mark(fields[name], description);
      }
      form.querySelector("[aria-invalid]")?.focus();
    } finally {
      if (running === call) form.removeAttribute("aria-busy");
    }
  }

  result.append(
    el(
      "div",
      { class: "empty" },
      el("h2", null, "What newsprint finds out"),
      el(
        "ul",
        null,
        el("li", null, "which topics an article is about, each with its probability and the words that weighed"),
        el("li", null, "whether it was seen before, whole, edited or in part, and where"),
        el("li", null, "the story that it belongs to"),
      ),
      el("button", { type: "button", onclick: () => fill(EXAMPLE) }, "Fill in an example"),
    ),
  );
  suggestCollections(client, form.querySelector("datalist"));
  return {
    title: "Read an article",
    content: [el("h1", { class: "visually-hidden" }, "Read an article"), el("div", { class: "desk" }, form, result), below],
  };
}

function field(label, control, hint) {
  const { id } = control;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    control,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

/** Says what is wrong with a field, or that nothing is. */
function mark(element, description) {
  element.querySelector(".wrong")?.remove();
  const control = element.querySelector("input, textarea");
  control.removeAttribute("aria-invalid");
  if (description) {
    control.setAttribute("aria-invalid", "true");
    element.append(el("p", { class: "wrong", id: `${control.id}-wrong` }, description));
  }
  const notes = [...element.querySelectorAll(".wrong, .hint")].map(({ id }) => id);
  if (notes.length > 0) control.setAttribute("aria-describedby", notes.join(" "));
  else control.removeAttribute("aria-describedby");
}

function acceptFiles(form, fill) {
  const over = (event, isOver) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.toggle("dropping", isOver);
  };
  form.addEventListener("dragover", (event) => over(event, true));
  form.addEventListener("dragleave", (event) => over(event, false));
  form.addEventListener("drop", async (event) => {
    over(event, false);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) fill(articleOf(await file.text()));
  });
}

/** The first line of a text is its headline; a page of HTML has one of its own. */
function articleOf(text) {
  const page = /<title[^>]*>([^<]*)<\/title>/i.exec(text);
  if (page) return { title: page[1].trim(), body: text };
  const [title] = text.trim().split("\n", 1);
  return { title: title.trim(), body: text.trim().slice(title.length).trim() };
}

/** A help, no more: without it a name can be typed. */
async function suggestCollections(client, list) {
  const { collections } = await client.admin.listCollections({}, { attemptsMax: 1 }).catch(() => ({ collections: [] }));
  list.append(...collections.map(({ collection }) => el("option", { value: collection })));
}

/** All that was found out about an article. */
function found({ collection, analysis, outcome, compare }) {
  const { duplicates, classification } = analysis;
  const name = outcome?.collection || collection || DEFAULT_COLLECTION;
  const verdict = verdictOf(analysis);
  const story = duplicates.storyId;
  return el(
    "div",
    null,
    el(
      "div",
      { class: `verdict ${verdict.kind}` },
      el("p", { class: "eyebrow" }, outcome ? stored(outcome) : "Not stored"),
      el("h2", { tabindex: "-1" }, verdict.name),
      el(
        "p",
        null,
        verdict.says,
        story && verdict.kind !== "unique" && [" ", link(storyPath(name, story), "Its story"), "."],
        outcome && [" ", link(articlePath(name, outcome.articleId), "As it is remembered"), "."],
      ),
    ),
    topics(classification),
    duplicates.matches.length > 0 && matches(duplicates.matches, compare),
    facts(analysis),
  );
}

function stored({ replayed, revision }) {
  if (replayed) return "Was stored before, nothing has changed";
  return revision > 1 ? `Stored as revision ${revision}` : "Stored";
}

function matches(matches, choose) {
  const buttons = matches.map((match, at) =>
    el(
      "button",
      {
        type: "button",
        class: "match",
        "aria-pressed": at === 0 ? "true" : "false",
        onclick: async (event) => {
          for (const button of buttons) button.setAttribute("aria-pressed", String(button === event.currentTarget));
          await choose(match);
        },
      },
      el("span", { class: "match-title" }, match.title || match.articleId),
      el("span", { class: "byline" }, [match.source, likeness(match)].filter(Boolean).join(" · ")),
    ),
  );
  return el(
    "section",
    { class: "matches", "aria-labelledby": "matches-heading" },
    el("h3", { id: "matches-heading" }, matches.length === 1 ? "Seen before in" : `Seen before in ${count(matches.length)} articles`),
    el("ol", { class: "plain" }, buttons.map((button) => el("li", null, button))),
  );
}

/** Puts an article beside one that it is like, into a place for that. */
function comparer(client, collection, article, place) {
  return async (match) => {
    if (!match) return;
    let there;
    try {
      const answer = await client.articles.getArticle({ collection, articleId: match.articleId });
      there = answer.stored.article;
    } catch (error) {
      place.replaceChildren(failure(error));
      return;
    }
    const note = ({ source, body }) => [source, length(body)].filter(Boolean).join(" · ");
    place.replaceChildren(
      sideBySide(
        { label: "This article", title: article.title, note: note(article), body: article.body },
        {
          label: "Remembered",
          title: there.title || there.articleId,
          note: note(there),
          body: there.body,
          href: articlePath(collection || DEFAULT_COLLECTION, there.articleId),
        },
        match.overlaps,
      ),
    );
  };
}

/** The collections, and the latest articles of one. */
export async function archive({ client }, collection) {
  const { collections } = await client.admin.listCollections({});
  if (collections.length === 0) {
    return {
      title: "Archive",
      content: [
        el("h1", null, "Archive"),
        el(
          "div",
          { class: "empty" },
          el("p", null, "Nothing is remembered yet. A collection comes into being with its first article."),
          link("#/", "Read one"),
        ),
      ],
    };
  }
  const names = collections.map(({ collection }) => collection);
  const chosen = collection ?? (names.includes(DEFAULT_COLLECTION) ? DEFAULT_COLLECTION : names[0]);
  const { topics } = await client.admin.getServerInfo({});
  const list = await latest(client, chosen, topics.map(({ topic }) => topic));
  return {
    title: `Archive: ${chosen}`,
    content: [
      el("h1", null, "Archive"),
      el(
        "div",
        { class: "archive" },
        el(
          "nav",
          { class: "collections", "aria-label": "Collections" },
          el(
            "ul",
            { class: "plain" },
            collections.map(({ collection, articleCount, storyCount }) =>
              el(
                "li",
                null,
                el(
                  "a",
                  { href: archivePath(collection), "aria-current": collection === chosen ? "page" : undefined },
                  el("span", null, collection),
                  el("span", { class: "hint" }, `${plural(articleCount, "article")}, ${plural(storyCount, "story", "stories")}`),
                ),
              ),
            ),
          ),
        ),
        list,
      ),
    ],
  };
}

/** The latest articles of a collection, by topic if one is chosen. */
async function latest(client, collection, topicNames) {
  const list = el("ol", { class: "plain entries" });
  const more = el("button", { type: "button", onclick: () => load() }, "More");
  const note = el("p", { class: "empty" });
  const renew = el(
    "button",
    { type: "button", class: "renew", hidden: true, "data-renew": true, onclick: () => load(true) },
    "Something has changed: show the latest",
  );
  const filter = el(
    "select",
    { id: "topic-filter", onchange: () => load(true) },
    el("option", { value: "" }, "any topic"),
    topicNames.map((topic) => el("option", { value: topic }, topic)),
  );
  let pageToken = "";
  async function load(isNew = false) {
    if (isNew) pageToken = "";
    const query = { collection, topic: filter.value, pageSize: PAGE_SIZE, view: ArticleView.BASIC, pageToken };
    let page;
    try {
      page = await client.articles.listArticles(query);
    } catch (error) {
      note.replaceChildren(failure(error, () => load(isNew)));
      note.hidden = false;
      return;
    }
    const entries = page.articles.map((stored) => entry(collection, stored));
    if (isNew) list.replaceChildren(...entries);
    else list.append(...entries);
    pageToken = page.nextPageToken;
    more.hidden = !pageToken;
    renew.hidden ||= isNew;
    note.hidden = list.childElementCount > 0;
    note.textContent = filter.value ? `No article here is about ${filter.value}.` : "The collection has no articles.";
    if (isNew) announce(`${plural(list.childElementCount, "article")} shown`);
  }
  await load();
  return el(
    "section",
    { "aria-labelledby": "latest-heading" },
    el(
      "div",
      { class: "list-head" },
      el("h2", { id: "latest-heading" }, `Latest in ${collection}`),
      el("p", { class: "filter" }, el("label", { for: "topic-filter" }, "about"), " ", filter),
    ),
    renew,
    list,
    note,
    more,
  );
}

/** An article that is remembered. */
export async function article({ client }, collection, articleId) {
  const { stored } = await client.articles.getArticle({ collection, articleId });
  const { article, analysis, revision, submitTime } = stored;
  const verdict = verdictOf(analysis);
  const story = analysis.duplicates.storyId;
  const found = analysis.duplicates.matches;
  const below = el("div");
  const compare = comparer(client, collection, article, below);
  // Words and passages are not remembered: they are found out again.
  const options = { explain: true, maxMatches: 100 };
  const again = article.body
    ? await client.analyze(article, { collection, options }).catch(() => undefined)
    : undefined;
  const isSameModel = again?.classification.modelVersion === analysis.classification.modelVersion;
  const choose = (match) => {
    const same = again?.duplicates.matches.find(({ articleId }) => articleId === match.articleId);
    return compare({ ...match, overlaps: same?.overlaps });
  };
  if (found[0] && article.body) await choose(found[0]);
  const title = article.title || article.articleId;
  return {
    title,
    content: [
      el("p", { class: "eyebrow" }, link(archivePath(collection), collection)),
      el("h1", { class: "headline" }, title),
      el(
        "p",
        { class: "byline" },
        [article.source, time(submitTime), length(article.body)].filter(Boolean).flatMap((part, at) => (at ? [" · ", part] : [part])),
      ),
      el(
        "div",
        { class: "reading" },
        el(
          "div",
          null,
          article.body
            ? el("div", { class: "prose" }, article.body)
            : el("p", { class: "notice" }, "The collection does not keep the text of its articles."),
        ),
        el(
          "aside",
          { "aria-label": "What was found out" },
          el(
            "div",
            { class: `verdict ${verdict.kind}` },
            el("h2", null, verdict.name),
            el("p", null, verdict.says, story && [" ", link(storyPath(collection, story), "Its story"), "."]),
          ),
          topics(isSameModel ? again.classification : analysis.classification),
          found.length > 0 && matches(found, choose),
          facts(analysis),
          definitions([
            ["Id", el("code", null, article.articleId)],
            ["Revision", String(revision)],
            ["Found at", article.url],
            ...Object.entries(article.attributes),
          ]),
        ),
      ),
      below,
    ],
  };
}

/** A story: the article that stands for it, and the others. */
export async function story({ client }, collection, storyId) {
  const list = el("ol", { class: "plain entries" });
  const more = el("button", { type: "button", onclick: () => load() }, "More");
  let pageToken = "";
  let canonical;
  async function load() {
    const query = { collection, storyId, pageSize: PAGE_SIZE, view: ArticleView.BASIC, pageToken };
    const page = await client.articles.getStory(query);
    canonical = page.canonical;
    list.append(...page.members.map((stored) => entry(collection, stored, { isInStory: true })));
    pageToken = page.nextPageToken;
    more.hidden = !pageToken;
  }
  await load();
  const title = canonical.article.title || canonical.article.articleId;
  const others = list.childElementCount;
  return {
    title: `Story: ${title}`,
    content: [
      el("p", { class: "eyebrow" }, link(archivePath(collection), collection), " · story"),
      el("h1", { class: "headline" }, title),
      el("p", { class: "hint" }, "Story ", el("code", null, storyId)),
      el("h2", { class: "rule" }, "It began with"),
      el("ol", { class: "plain entries" }, entry(collection, canonical, { isInStory: true })),
      el("h2", { class: "rule" }, others ? "Then came" : "Nothing like it has come since"),
      list,
      more,
    ],
  };
}

/** What is shown where a page could not be. */
export function unavailable(error, again) {
  const title = error.code === Code.NotFound ? "Not here" : "No answer";
  return { title, content: [el("h1", null, title), failure(error, again), el("p", null, link("#/archive", "To the archive"))] };
}
