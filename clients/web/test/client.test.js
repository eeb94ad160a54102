// The client library, in Node. Needs a server at NEWSPRINT_ADDR; see scripts/e2e.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, beforeEach, test } from "node:test";

import { ArticleView, Client, Code, MatchKind, NewsprintError, Verdict } from "newsprint-web";
import { ErrorReason } from "newsprint-web/v1";

import { article } from "./articles.js";

const address = `http://${process.env.NEWSPRINT_ADDR}`;
const client = new Client(address);
const collections = [];
let collection;

beforeEach(() => {
  collection = `web-${randomUUID()}`;
  collections.push(collection);
});

after(async () => {
  for (const collection of collections) {
    await client.admin.deleteCollection({ collection }).catch((error) => {
      assert.equal(error.reason, "COLLECTION_NOT_FOUND");
    });
  }
});

/** The NewsprintError that a promise must end with. */
async function refusal(promise) {
  const error = await promise.then(
    () => assert.fail("it was not refused"),
    (error) => error,
  );
  assert(error instanceof NewsprintError, error);
  return error;
}

test("an article is submitted, and its edited copy found", async () => {
  const first = await client.submit(article("harbour-tolls"), { collection });
  assert.equal(first.analysis.duplicates.verdict, Verdict.UNIQUE);
  assert.equal(typeof first.analysis.fingerprint.simhash, "string");
  const edited = article("harbour-tolls-edited");
  const analysis = await client.analyze(edited, { collection, options: { explain: true } });
  assert.equal(analysis.duplicates.verdict, Verdict.NEAR_DUPLICATE);
  const [match] = analysis.duplicates.matches;
  assert.equal(match.articleId, "harbour-tolls");
  assert.equal(match.kind, MatchKind.NEAR);
  assert(match.overlaps.length > 0);
  assert(analysis.classification.topics.every(({ evidence }) => evidence.length > 0));
  const refused = await refusal(client.articles.getArticle({ collection, articleId: edited.articleId }));
  assert.equal(refused.reason, "ARTICLE_NOT_FOUND", "an analysis stores nothing");
});

test("an article without an id is given one before it is sent", async () => {
  const { articleId } = await client.submit({ title: "Pier closed for the winter" }, { collection });
  assert.match(articleId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("articles of a batch have results of their own", async () => {
  const results = await client.submitBatch(
    [{ articleId: "a", title: "Pier 1 is closed" }, { articleId: "b" }, { articleId: "c", title: "Pier 3 is open" }],
    { collection },
  );
  assert.deepEqual(results.map((result) => result instanceof NewsprintError), [false, true, false]);
  assert.equal(results[1].reason, "INVALID_FIELDS");
});

test("a listing is followed to its end", async () => {
  await client.submitBatch(
    Array.from({ length: 7 }, (_, number) => ({ articleId: `p${number}`, title: `Pier ${number} is closed`, body: "For the winter." })),
    { collection },
  );
  const ids = [];
  for await (const { article } of client.listArticles({ collection, pageSize: 3, view: ArticleView.BASIC })) {
    assert.equal(article.body, "");
    ids.push(article.articleId);
  }
  assert.deepEqual(ids, ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]);
});

test("a refusal names every field at fault", async () => {
  const error = await refusal(client.submit({ articleId: "x", language: "no language" }, { collection }));
  assert.equal(error.code, Code.InvalidArgument);
  assert.equal(ErrorReason[error.reason], ErrorReason.INVALID_FIELDS);
  assert.match(error.message, /\(INVALID_ARGUMENT, INVALID_FIELDS\)$/);
  assert(error.fields.some(({ field }) => field === "article.title"));
  assert(error.fields.some(({ field }) => field === "article.language"));
  assert(!error.isPassing);
});

test("a deadline ends a call", async () => {
  const error = await refusal(client.admin.getServerInfo({}, { timeoutMs: 0.001 }));
  assert.equal(error.code, Code.DeadlineExceeded);
});

test("a signal ends a call", async () => {
  const error = await refusal(client.admin.getServerInfo({}, { signal: AbortSignal.abort() }));
  assert.equal(error.code, Code.Canceled);
});

test("what is refused for the moment is tried again", async () => {
  let attempts = 0;
  const failing = new Client(address, {
    fetch: (...request) => {
      attempts += 1;
      return attempts < 3 ? Promise.reject(new TypeError("fetch failed")) : fetch(...request);
    },
  });
  assert((await failing.admin.getServerInfo({})).version);
  assert.equal(attempts, 3);
});

test("a server that is not there is said so", async () => {
  const nobody = new Client("http://127.0.0.1:1");
  const error = await refusal(nobody.admin.getServerInfo({}, { attemptsMax: 2 }));
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.reason, "");
  assert(error.isPassing);
});

test("a token is asked for before every call", async () => {
  const sent = [];
  const tokens = ["one", "two"];
  const authorized = new Client(address, {
    token: () => tokens.shift(),
    fetch: (url, init) => {
      sent.push(new Headers(init.headers).get("authorization"));
      return fetch(url, init);
    },
  });
  for (let call = 0; call < 3; call++) await authorized.admin.getServerInfo({});
  assert.deepEqual(sent, ["Bearer one", "Bearer two", null]);
});
