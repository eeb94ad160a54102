// The client library. Needs a server at NEWSPRINT_ADDR, and the gateway; see scripts/e2e.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, beforeEach, test } from "node:test";

import { toJson } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { ArticleView, Client, NewsprintError, Verdict } from "newsprint-client";
import { ErrorReason, SubmitArticleResponseSchema } from "newsprint-client/v1";

const gatewayAddress = process.env.NEWSPRINT_GATEWAY_ADDR;
const certificate = (name) => readFileSync(`${process.env.NEWSPRINT_GATEWAY_CERTS}/${name}`);

const client = new Client(process.env.NEWSPRINT_ADDR);
const collections = [];
let collection;

beforeEach(() => {
  collection = `node-${randomUUID()}`;
  collections.push(collection);
});

after(async () => {
  for (const collection of collections) {
    await client.admin.deleteCollection({ collection }).catch((error) => {
      // A test that remembered nothing has made no collection.
      assert.equal(error.reason, "COLLECTION_NOT_FOUND");
    });
  }
  client.close();
});

function article(name) {
  const text = readFileSync(new URL(`../../articles/${name}.txt`, import.meta.url), "utf8").trim();
  const [title] = text.split("\n", 1);
  return { articleId: name, title, body: text.slice(title.length).trim() };
}

function* numbered(count) {
  for (let number = 0; number < count; number++) {
    const title = `Pier ${number} of ${count} is closed for the winter`;
    yield { articleId: `pier-${number}`, title };
  }
}

async function collect(items) {
  const collected = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** The NewsprintError that a promise must end with. */
async function refusal(promise) {
  const error = await promise.then(
    () => assert.fail("it was not refused"),
    (error) => error,
  );
  assert(error instanceof NewsprintError, error);
  return error;
}

function throughGateway(options) {
  const tls = {
    rootCertificates: certificate("ca.crt"),
    privateKey: certificate("client.key"),
    certificateChain: certificate("client.crt"),
  };
  return new Client(gatewayAddress, { tls, token: "a-token", ...options });
}

test("a copy is told from an original", async () => {
  const first = await client.submit(article("harbour-tolls"), { collection });
  assert.equal(first.analysis.duplicates.verdict, Verdict.UNIQUE);
  const edited = await client.analyze(article("harbour-tolls-edited"), { collection });
  assert.equal(edited.duplicates.verdict, Verdict.NEAR_DUPLICATE);
  await client.submit(article("stone-oven"), { collection });
  const listed = await collect(client.listArticles({ collection, pageSize: 1, view: ArticleView.BASIC }));
  assert.deepEqual(listed.map((stored) => stored.article.articleId), ["stone-oven", "harbour-tolls"]);
  assert(listed.every((stored) => stored.article.body === ""));
});

test("a fingerprint goes there and back, and into JSON", async () => {
  const outcome = await client.submit(article("harbour-tolls"), { collection });
  const { simhash } = outcome.analysis.fingerprint;
  assert(BigInt(simhash) > Number.MAX_SAFE_INTEGER, "or this shows nothing");
  const request = { collection, query: { case: "simhash", value: simhash } };
  const found = await client.articles.findSimilar(request);
  assert.deepEqual(found.matches.map((match) => match.articleId), ["harbour-tolls"]);
  assert.equal(toJson(SubmitArticleResponseSchema, outcome).analysis.fingerprint.simhash, simhash);
});

test("an article without an id gets one before it is sent", async () => {
  const nameless = { title: "The lighthouse of Orvo goes dark" };
  const outcome = await client.submit(nameless, { collection });
  const [{ article: sent, result }] = await collect(client.submitStream([nameless], { collection }));
  assert(sent.articleId);
  assert.equal(sent.articleId, result.articleId);
  assert.notEqual(sent.articleId, outcome.articleId);
});

test("a batch tells of each article", async () => {
  const articles = [article("ridge-shelling"), { articleId: "blank" }];
  const [good, bad] = await client.submitBatch(articles, { collection });
  assert.equal(good.articleId, "ridge-shelling");
  assert(bad instanceof NewsprintError);
  assert.deepEqual([bad.code, bad.reason], [status.INVALID_ARGUMENT, "INVALID_FIELDS"]);
  assert.deepEqual(bad.fields.map(({ field }) => field), ["articles[1].title", "articles[1].body"]);
  assert(!bad.isPassing);
  assert.equal(bad.retryAfterMs, undefined);
});

test("a refused call says why", async () => {
  const error = await refusal(client.submit({ language: "?" }, { collection }));
  assert(error.reason in ErrorReason);
  assert.deepEqual(
    error.fields.map(({ field }) => field).sort(),
    ["article.body", "article.language", "article.title"],
  );
  assert.match(error.message, /\(INVALID_ARGUMENT, INVALID_FIELDS\)$/);
});

test("a stream pairs results with articles", async () => {
  const articles = [...numbered(300), { articleId: "blank" }, article("stone-oven")];
  const results = await collect(client.submitStream(articles, { collection }));
  const ids = (list) => list.map(({ articleId }) => articleId);
  assert.deepEqual(ids(results.map(({ article }) => article)), ids(articles));
  const errors = results.filter(({ result }) => result instanceof NewsprintError);
  assert.deepEqual(errors.map(({ result }) => result.reason), ["INVALID_FIELDS"]);
  assert.equal(results.at(-1).result.articleId, "stone-oven");
});

test("a stream takes no more than its window", async () => {
  let taken = 0;
  let isClosed = false;
  async function* counted() {
    try {
      for (const each of numbered(500)) {
        taken += 1;
        yield each;
      }
    } finally {
      isClosed = true;
    }
  }
  let answered = 0;
  for await (const _ of client.submitStream(counted(), { collection, window: 8 })) {
    answered += 1;
    // One more may have been taken, to wait for room.
    assert(taken <= answered + 9, `${taken} taken, ${answered} answered`);
    if (answered === 100) break;
  }
  assert.equal(answered, 100);
  await new Promise(setImmediate);
  assert(isClosed && taken <= 109);
});

test("what the articles throw comes out of the stream", async () => {
  async function* broken() {
    yield article("stone-oven");
    throw new RangeError("the file is cut short");
  }
  await assert.rejects(collect(client.submitStream(broken(), { collection })), RangeError);
});

test("a call ends by its deadline, and by its signal", async () => {
  const late = await refusal(client.submitBatch(numbered(1000), { collection, timeoutMs: 1 }));
  assert.equal(late.code, status.DEADLINE_EXCEEDED);
  const signal = AbortSignal.timeout(1);
  const aborted = await refusal(client.submitBatch(numbered(1000), { collection, signal }));
  assert.equal(aborted.code, status.CANCELLED);
  const stream = collect(client.submitStream(numbered(10_000), { collection, timeoutMs: 20 }));
  assert.equal((await refusal(stream)).code, status.DEADLINE_EXCEEDED);
});

test("no server is an error too", async () => {
  const nobody = new Client("127.0.0.1:1", { channelOptions: { "grpc.enable_retries": 0 } });
  const error = await refusal(nobody.submit(article("stone-oven")));
  assert.deepEqual([error.code, error.reason, error.isPassing], [status.UNAVAILABLE, "", true]);
  nobody.close();
});

test("certificates and token open the gateway", async () => {
  const gateway = throughGateway();
  await gateway.submit(article("stone-oven"), { collection });
  assert.equal((await collect(gateway.submitStream(numbered(20), { collection }))).length, 20);
  const error = await refusal(gateway.submit({}, { collection }));
  assert.equal(error.reason, "INVALID_FIELDS", "details come through a gateway");
  gateway.close();

  const stranger = throughGateway({ token: "another" });
  const denied = await refusal(stranger.submit(article("stone-oven"), { collection }));
  assert.equal(denied.code, status.UNAUTHENTICATED);
  stranger.close();
});

test("without its authority or our certificate the gateway is closed", async () => {
  const channelOptions = { "grpc.enable_retries": 0 };
  for (const tls of [true, { rootCertificates: certificate("ca.crt") }]) {
    const closed = throughGateway({ tls, channelOptions });
    const error = await refusal(closed.analyze(article("stone-oven")));
    assert.equal(error.code, status.UNAVAILABLE);
    closed.close();
  }
});

test("a token is not sent in the clear", () => {
  assert.throws(() => new Client("localhost:50051", { token: "a-token" }), /TLS/);
});

for (const code of ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]) {
  test(`what passes is tried again: ${code}`, async () => {
    const gateway = throughGateway();
    const metadata = { "x-fail": `${code} 2` };
    // As large as articles get: by default gRPC sends again only what is smaller.
    const large = { ...article("stone-oven"), body: "oven ".repeat((1 << 20) / 5) };
    const outcome = await gateway.submit(large, { collection, metadata });
    assert.equal(outcome.articleId, "stone-oven");
    gateway.close();
  });
}

test("and given up after five times; what is final is not tried again", async () => {
  const gateway = throughGateway();
  const failing = (fail) =>
    refusal(gateway.submit(article("stone-oven"), { collection, metadata: { "x-fail": fail } }));
  assert.equal((await failing("UNAVAILABLE 5")).code, status.UNAVAILABLE);
  assert.equal((await failing("INVALID_ARGUMENT 1")).code, status.INVALID_ARGUMENT);
  gateway.close();
});
