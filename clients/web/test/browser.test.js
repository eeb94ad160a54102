// gRPC-Web in Chromium, from a page of another origin. Needs a server at NEWSPRINT_ADDR that allows
// pages of NEWSPRINT_PAGE_ORIGIN to call; see scripts/e2e.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { buildSync } from "esbuild";

import { article } from "./articles.js";
import { launch, servePage } from "./browser.js";

const address = `http://${process.env.NEWSPRINT_ADDR}`;
const origin = process.env.NEWSPRINT_PAGE_ORIGIN;
let browser;
let server;
let page;

before(async () => {
  const { outputFiles } = buildSync({
    entryPoints: [new URL("page.js", import.meta.url).pathname],
    bundle: true,
    format: "iife",
    write: false,
  });
  server = await servePage(origin, outputFiles[0].contents);
  browser = await launch();
  page = await (await browser.newContext()).newPage();
  // Enough for a machine that has much else to do.
  page.setDefaultTimeout(60_000);
  await open(origin);
});

after(async () => {
  await browser?.close();
  server?.close();
});

async function open(origin) {
  await page.goto(origin);
  await page.addScriptTag({ url: "/script.js" });
}

test("the client library calls from a page that is allowed to", async () => {
  const found = await page.evaluate(([address, article]) => library(address, article), [address, article("ridge-shelling")]);
  assert.match(found.version, /^\d/);
  assert.equal(found.topics, 3);
  assert.equal(found.error.name, "NewsprintError");
  assert.equal(found.error.reason, "INVALID_FIELDS");
  assert(found.error.fields.some(({ field }) => field === "article.title"));
});

for (const format of ["binary", "text"]) {
  test(`grpc-web calls in its ${format} form`, async () => {
    const given = [address, format, article("ridge-shelling")];
    const found = await page.evaluate((given) => google(...given), given);
    assert.match(found.version, /^\d/);
    assert.equal(found.topics, 3);
    assert.equal(found.error.code, 3);
    assert.match(found.error.message, /article/);
    assert(found.error.metadata["grpc-status-details-bin"], "the details can be read");
  });
}

test("what no page may send without asking is not taken", async () => {
  // Sent as text/plain, which needs no leave: the server must not take it for a call.
  const post = await page.evaluate((address) => plainPost(address), address);
  assert.equal(post, 415);
});

test("a page of another origin may not call", async () => {
  // The same page under another name.
  await open(origin.replace("127.0.0.1", "localhost"));
  const error = await page.evaluate(
    ([address, article]) => library(address, article).catch(({ message }) => message),
    [address, article("ridge-shelling")],
  );
  assert.match(String(error), /cannot be reached/);
});
