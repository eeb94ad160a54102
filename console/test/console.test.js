// The console in Chromium. Needs a server whose console is at NEWSPRINT_CONSOLE, without any
// articles; see scripts/e2e. With NEWSPRINT_SCREENSHOTS it leaves pictures of every state there.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";

import { article } from "../../clients/web/test/articles.js";
import { launch, violations } from "../../clients/web/test/browser.js";

const address = process.env.NEWSPRINT_CONSOLE;
const pictures = process.env.NEWSPRINT_SCREENSHOTS;

/** Enough for a machine that has much else to do. */
const TIMEOUT_MS = 60_000;

const LOOKS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 375, height: 812 }, colorScheme: "light", isMobile: true, hasTouch: true },
};

let browser;
let context;
let page;
/** What the page complained of, as a broken policy or script would. */
const complaints = [];

before(async () => {
  if (pictures) mkdirSync(pictures, { recursive: true });
  browser = await launch();
  context = await browser.newContext(LOOKS.light);
  page = await open(context);
});

after(() => browser?.close());

async function open(context, hash = "") {
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(address + hash);
  await page.waitForSelector("main > *");
  return page;
}

/** Goes there and waits until it is shown. */
async function go(hash, heading) {
  await page.goto(address + hash);
  await page.waitForSelector(`main h1:has-text(${JSON.stringify(heading)})`);
}

async function fillIn({ title, body }) {
  await page.fill("#title", title);
  await page.fill("#body", body);
}

async function verdict() {
  const heading = page.locator(".result .verdict h2");
  await heading.waitFor();
  return heading.textContent();
}

async function storedCount() {
  await go("#/archive", "Archive");
  return page.locator(".entry").count();
}

/** Looks at a state as everybody sees it: nothing against the rules, nothing out of sight. */
async function look(name) {
  for (const [look, { viewport, colorScheme }] of Object.entries(LOOKS)) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert(wide <= 0, `${name}, ${look}: ${wide} pixels are out of sight`);
    assert.deepEqual(await violations(page), [], `${name}, ${look}`);
    if (pictures) await page.screenshot({ path: `${pictures}/${name}-${look}.png`, fullPage: true });
  }
  await page.setViewportSize(LOOKS.light.viewport);
  await page.emulateMedia({ colorScheme: "light" });
}

test("an empty server has an empty archive, and says how to begin", async () => {
  await go("#/", "Read an article");
  await page.waitForSelector(".counters dd");
  assert.match(await page.locator(".counters").textContent(), /articles0/);
  await look("reader-empty");
  await go("#/archive", "Archive");
  await page.waitForSelector("text=Nothing is remembered yet");
  await look("archive-empty");
});

test("an article is analysed, and nothing is stored", async () => {
  await go("#/", "Read an article");
  await page.click("text=Fill in an example");
  await page.click("button:has-text('Analyse'):not(:has-text('store'))");
  assert.equal(await verdict(), "Unique");
  assert.equal(await page.locator(".verdict .eyebrow").textContent(), "Not stored");
  assert.equal(await page.locator(".topic").count(), 3);
  await page.waitForFunction(() => document.activeElement.matches(".verdict h2"));
  assert.match(await page.locator("#announcer").textContent(), /^Unique\./);
  const weights = page.locator(".weights").first();
  await weights.locator("summary").click();
  assert((await weights.locator("tbody tr").count()) > 3);
  await look("reader-unique");
  assert.equal(await storedCount(), 0);
});

test("an article is stored when told to, and its edited copy is found", async () => {
  await go("#/", "Read an article");
  await fillIn(article("harbour-tolls"));
  await page.click("text=Analyse and store");
  assert.equal(await verdict(), "Unique");
  assert.equal(await page.locator(".verdict .eyebrow").textContent(), "Stored");
  await fillIn(article("harbour-tolls-edited"));
  // By keyboard.
  await page.press("#body", "Control+Enter");
  await page.waitForSelector(".result .verdict.near");
  assert.equal(await verdict(), "Near duplicate");
  await page.waitForSelector(".comparison mark");
  const [here, there] = await Promise.all([0, 1].map((at) => page.locator(".column").nth(at).locator("mark").allTextContents()));
  assert(here.length > 0);
  assert.equal(here.length, there.length);
  const told = (text) => text.replace(/^Shared passage \d+: | End of the passage\.$/g, "");
  // The passages are the same words, but for what is around them.
  const words = (text) => told(text).toLowerCase().match(/[\p{L}\p{N}]+/gu).join(" ");
  assert(here.some((passage) => there.map(words).includes(words(passage))), here[0]);
  await page.locator("mark").first().click();
  assert.equal(await page.locator("mark.chosen").count(), 2);
  await look("reader-near");
  assert.equal(await storedCount(), 1);
});

test("the counters tell what was stored", async () => {
  await page.waitForFunction(() => /article1/.test(document.querySelector(".counters").textContent));
});

test("an exact copy, a file that is dropped, and a text that is too short", async () => {
  await go("#/", "Read an article");
  const { title, body } = article("harbour-tolls");
  await page.evaluate(
    ([text]) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([text], "copy.txt", { type: "text/plain" }));
      document.querySelector(".reader-form").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    },
    [`${title}\n\n${body}`],
  );
  await page.waitForFunction((title) => document.querySelector("#title").value === title, title);
  await page.click("button.primary");
  assert.equal(await verdict(), "Exact duplicate");
  await fillIn({ title: "Two words", body: "" });
  await page.click("button.primary");
  await page.waitForSelector(".verdict.short");
  await page.waitForSelector(".notice");
  await look("reader-short");
});

test("what is wrong is said at its field", async () => {
  await go("#/", "Read an article");
  await fillIn({ title: "", body: "" });
  await page.fill("#collection", "No Such Name");
  await page.click("button.primary");
  await page.waitForSelector(".failure");
  assert.equal(await page.locator("[aria-invalid]").count(), 3, "headline, text and collection");
  assert(await page.evaluate(() => document.activeElement.matches("[aria-invalid]")));
  await look("reader-wrong");
  await page.fill("#collection", "default");
});

test("the archive, an article and its story", async () => {
  await go("#/", "Read an article");
  for (const name of ["harbour-tolls-edited", "ridge-shelling", "stone-oven"]) {
    await fillIn(article(name));
    await page.click("text=Analyse and store");
    await page.waitForSelector(".verdict .eyebrow:has-text('Stored')");
    await page.waitForFunction((name) => document.querySelector(".reader-form:not([aria-busy])"), name);
  }
  await go("#/archive", "Archive");
  assert.equal(await page.locator(".entry").count(), 4);
  await look("archive");
  // What comes meanwhile is offered.
  await page.evaluate(async () => {
    const { Client } = await import("/console/client.js");
    await new Client().submit({ title: "The pier of Lower Massing is closed for the winter" });
  });
  await page.click("text=Something has changed");
  await page.waitForSelector(".entry:has-text('Lower Massing is closed')");
  assert.equal(await page.locator("[data-renew]:visible").count(), 0);
  await page.selectOption("#topic-filter", "conflict");
  await page.waitForFunction(() => document.querySelectorAll(".entry").length === 1);
  await page.selectOption("#topic-filter", "");
  await page.waitForFunction(() => document.querySelectorAll(".entry").length === 5);
  await page.click("text=its story");
  await page.waitForSelector("text=Then came");
  assert.equal(await page.locator(".entry").count(), 2);
  await look("story");
  await page.locator(".entries").nth(1).locator("h3 a").click();
  await page.waitForSelector(".comparison");
  assert.match(await page.title(), /^Grain ships to pay twice/);
  await look("article");
});

test("what is not there is said so", async () => {
  await go("#/article/default/nothing", "Not here");
  await page.waitForSelector("text=ARTICLE_NOT_FOUND");
  await look("not-here");
});

test("everything can be reached by keyboard", async () => {
  await go("#/", "Read an article");
  const reached = [];
  await page.evaluate(() => document.activeElement?.blur());
  for (let tab = 0; tab < 14; tab++) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim()));
  }
  for (const stop of ["Skip to content", "Archive", "Token", "title", "body", "source", "collection", "Analyse", "Analyse and store"]) {
    assert(reached.includes(stop), `${stop} is not among ${reached.join(", ")}`);
  }
});

test("the token is sent, and is in no storage", async () => {
  await go("#/", "Read an article");
  await page.click("summary:has-text('Token')");
  await look("token");
  await page.fill("#token-field", "open sesame");
  const request = page.waitForRequest(
    (request) => request.headers().authorization === "Bearer open sesame",
  );
  await page.click("text=Use");
  await request;
  const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  assert(!kept.includes("sesame"), kept);
  await page.reload();
  await page.waitForSelector("summary:text-is('Token')");
});

test("a text is only ever a text", async () => {
  await go("#/", "Read an article");
  await fillIn({ title: "<img src=x onerror=alert(1)>", body: "<script>alert(2)</script> a body of several words here" });
  await page.click("text=Analyse and store");
  await verdict();
  assert.equal(await page.locator("main img, main script").count(), 0);
  await page.click("text=As it is remembered");
  await page.waitForSelector(".headline:has-text('<img')");
  assert.equal(await page.locator("main img, main script").count(), 0);
});

test("the page complained of nothing, and asked for nothing from elsewhere", async () => {
  assert.deepEqual(complaints, []);
  const origins = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).origin));
  assert.deepEqual([...new Set(origins)], [new URL(address).origin]);
});

test("a server that is gone is said so", async () => {
  await context.setOffline(true);
  await go("#/", "Read an article");
  await fillIn(article("stone-oven"));
  await page.click("button.primary");
  await page.waitForSelector(".failure:has-text('cannot be reached')");
  await page.waitForSelector(".counters .trouble");
  await look("gone");
});
