/** The console: which page is shown, the masthead with its counters, and the token. */

import { Client, Code, NewsprintError } from "./client.js";
import { count, definitions, el } from "./parts.js";
import * as views from "./views.js";

const COUNTERS_PERIOD_MS = 5000;

const main = document.getElementById("main");
const tokenBox = document.getElementById("token");
const tokenField = document.getElementById("token-field");

/** Nowhere but here. */
let token = "";
const client = new Client(location.origin, { token: () => token });
const context = { client, onStored: () => refreshCounters() };

const ROUTES = [
  [/^#?\/?$/, () => views.reader(context)],
  [/^#\/archive$/, () => views.archive(context)],
  [/^#\/archive\/([^/]+)$/, (collection) => views.archive(context, collection)],
  [/^#\/article\/([^/]+)\/(.+)$/, (collection, id) => views.article(context, collection, id)],
  [/^#\/story\/([^/]+)\/(.+)$/, (collection, id) => views.story(context, collection, id)],
];

let shown = 0;
/** How many articles there were when they were last counted. */
let counted;

async function show(isFirst = false) {
  const turn = ++shown;
  const [view, parts] = route(location.hash);
  // What takes long is said to; what is quick would only flicker.
  const slow = setTimeout(() => main.replaceChildren(el("p", { class: "waiting" }, "One moment…")), 300);
  let page;
  try {
    page = await view(...parts);
  } catch (error) {
    if (!(error instanceof NewsprintError)) throw error;
    page = views.unavailable(error, () => show());
    askForToken(error);
  } finally {
    clearTimeout(slow);
  }
  if (turn !== shown) return;
  document.title = `${page.title} – newsprint`;
  main.replaceChildren(...page.content);
  for (const link of document.querySelectorAll(".masthead nav a")) {
    const target = link.getAttribute("href");
    const isHere = target === "#/" ? route(location.hash)[0] === ROUTES[0][1] : !ROUTES[0][0].test(location.hash);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isFirst) return;
  scrollTo(0, 0);
  const heading = main.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

function route(hash) {
  for (const [pattern, view] of ROUTES) {
    const found = pattern.exec(hash);
    if (found) return [view, found.slice(1).map(decode)];
  }
  return ROUTES[0].slice(1).concat([[]]);
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function askForToken(error) {
  if (error.code === Code.Unauthenticated) {
    tokenBox.open = true;
    tokenField.focus();
  }
}

async function refreshCounters() {
  const counters = document.getElementById("counters");
  try {
    const info = await client.admin.getServerInfo({}, { attemptsMax: 1, timeoutMs: COUNTERS_PERIOD_MS });
    if (counted !== undefined && counted !== info.articleCount) offerRenewal();
    counted = info.articleCount;
    const counter = (number, one, many) => {
      const name = Number(number) === 1 ? one : many;
      return el("div", null, el("dt", null, name), el("dd", null, count(number)));
    };
    counters.replaceChildren(
      counter(info.articleCount, "article", "articles"),
      counter(info.storyCount, "story", "stories"),
      counter(info.collectionCount, "collection", "collections"),
    );
    document.getElementById("colophon").replaceChildren(
      definitions([
        ["newsprint", info.version],
        ["Model", info.modelVersion],
        ["Fingerprint", info.fingerprintScheme],
        ["Runs on", info.kernel],
      ]),
    );
  } catch (error) {
    if (!(error instanceof NewsprintError)) throw error;
    const says = error.isPassing ? "no answer" : error.code === Code.Unauthenticated ? "needs a token" : "unknown";
    counters.replaceChildren(el("div", { class: "trouble" }, el("dt", null, "server"), el("dd", null, says)));
  }
}

/** Lists stay as they are while somebody reads them. */
function offerRenewal() {
  const renew = main.querySelector("[data-renew]");
  if (renew) renew.hidden = false;
}

tokenBox.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = tokenField.value.trim();
  tokenBox.open = false;
  tokenBox.querySelector("summary").textContent = token ? "Token in use" : "Token";
  refreshCounters();
  show();
});

addEventListener("hashchange", () => show());
// Nobody looks at what is hidden.
document.addEventListener("visibilitychange", () => document.hidden || refreshCounters());
setInterval(() => document.hidden || refreshCounters(), COUNTERS_PERIOD_MS);

refreshCounters();
show(true);
