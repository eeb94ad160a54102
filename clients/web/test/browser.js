// A real browser for tests, and a page of another origin than the server.

import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

/** Of no use without a display, or a network, that is not there. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch() {
  return chromium.launch({ executablePath: process.env.NEWSPRINT_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS, timeout: 120_000 });
}

/** Serves an empty page and a script at an address. */
export async function servePage(origin, script) {
  const server = createServer((request, response) => {
    const isScript = request.url === "/script.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : "<!doctype html><title>a page</title>");
  });
  server.listen(Number(new URL(origin).port), "127.0.0.1");
  await once(server, "listening");
  return server;
}

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What the accessibility rules find wrong on a page: WCAG 2.2 A and AA, and good practice. */
export async function violations(page) {
  // The page lets no script be put in; this comes past its policy, as a debugger's does.
  const { readFile } = await import("node:fs/promises");
  await page.evaluate(await readFile(axePath, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}
