/**
 * A client for newsprint in the browser: what is a news article about, and was it seen before?
 * What there is, is described in index.d.ts.
 */

import { create } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { AdminService } from "./gen/newsprint/v1/admin_service_pb.js";
import { ArticleSchema } from "./gen/newsprint/v1/article_pb.js";
import { ArticleService } from "./gen/newsprint/v1/article_service_pb.js";

export { Code } from "@connectrpc/connect";
export { ArticleView, MatchKind, Reliability, Verdict } from "./gen/newsprint/v1/article_pb.js";

export const DEFAULT_TIMEOUT_MS = 30_000;

/** As in the service config of the other clients. */
const ATTEMPTS_MAX = 5;
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 5000;
const BACKOFF_MULTIPLIER = 3;
/** Sent again, it would find the backup that it has made. */
const TRIED_ONCE = ["createBackup"];

export class NewsprintError extends Error {
  constructor({ code, message, unpack }, options) {
    const reason = unpack(ErrorInfoSchema)?.reason ?? "";
    super(`${message} (${codeName(code)}${reason && `, ${reason}`})`, options);
    this.name = "NewsprintError";
    this.code = code;
    this.plainMessage = message;
    this.reason = reason;
    this.fields = (unpack(BadRequestSchema)?.fieldViolations ?? []).map(
      ({ field, description }) => ({ field, description }),
    );
    const delay = unpack(RetryInfoSchema)?.retryDelay;
    this.retryAfterMs = delay && durationMs(delay);
  }

  get isPassing() {
    return this.code === Code.Unavailable || this.code === Code.ResourceExhausted;
  }
}

/** As every other language writes it: NOT_FOUND. */
function codeName(code) {
  return (Code[code] ?? "Unknown").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function errorOfCall(thrown) {
  const error = ConnectError.from(thrown);
  // Browsers do not say why a server cannot be reached, nor whether it only may not.
  const isUnreachable = error.cause instanceof TypeError;
  return new NewsprintError(
    {
      code: isUnreachable ? Code.Unavailable : error.code,
      message: isUnreachable ? "the server cannot be reached" : error.rawMessage,
      unpack: (schema) => error.findDetails(schema)[0],
    },
    { cause: thrown },
  );
}

function errorOfItem({ code, message, details }) {
  const unpack = (schema) =>
    details.map((detail) => anyUnpack(detail, schema)).find((detail) => detail !== undefined);
  return new NewsprintError({ code, message, unpack });
}

/** Like that other article, but with an id: a call that is sent again must not make another one. */
function withId(article) {
  const message = create(ArticleSchema, article);
  return message.articleId ? message : { ...message, articleId: newId() };
}

/** A random UUID; crypto.randomUUID is there in secure contexts only. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function resultOf({ result }) {
  return result.case === "outcome" ? result.value : errorOfItem(result.value);
}

export class Client {
  #token;

  constructor(address = globalThis.location?.origin, { token, timeoutMs = DEFAULT_TIMEOUT_MS, fetch } = {}) {
    this.#token = token;
    const transport = createGrpcWebTransport({
      baseUrl: address,
      defaultTimeoutMs: timeoutMs,
      interceptors: [(next) => (request) => this.#authorized(next, request)],
      fetch,
    });
    this.articles = unaryCalls(ArticleService, transport);
    this.admin = unaryCalls(AdminService, transport);
  }

  async submit(article, { collection, options, ...call } = {}) {
    return this.articles.submitArticle({ collection, article: withId(article), options }, call);
  }

  async analyze(article, { collection, options, ...call } = {}) {
    const answer = await this.articles.analyzeArticle({ collection, article, options }, call);
    return answer.analysis;
  }

  async submitBatch(articles, { collection, options, ...call } = {}) {
    const request = { collection, articles: Array.from(articles, withId), options };
    const answer = await this.articles.batchSubmitArticles(request, call);
    return answer.results.map(resultOf);
  }

  async *listArticles(query = {}, call) {
    let pageToken = query.pageToken;
    do {
      const page = await this.articles.listArticles({ ...query, pageToken }, call);
      yield* page.articles;
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  async #authorized(next, request) {
    const token = typeof this.#token === "function" ? this.#token() : this.#token;
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  }
}

/** Every unary method of a service, by its name. What is refused for the moment is tried again. */
function unaryCalls(service, transport) {
  const client = createClient(service, transport);
  const unary = service.methods.filter((method) => method.methodKind === "unary");
  return Object.fromEntries(
    unary.map(({ localName }) => [
      localName,
      (request, { attemptsMax = attemptsOf(localName), ...call } = {}) =>
        withRetries(attemptsMax, call.signal, () => client[localName](request, call)),
    ]),
  );
}

function attemptsOf(method) {
  return TRIED_ONCE.includes(method) ? 1 : ATTEMPTS_MAX;
}

async function withRetries(attemptsMax, signal, call) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (thrown) {
      const error = errorOfCall(thrown);
      if (!error.isPassing || attempt >= attemptsMax || signal?.aborted) throw error;
      const backoff = Math.min(BACKOFF_MS * BACKOFF_MULTIPLIER ** (attempt - 1), BACKOFF_MS_MAX);
      await sleep(Math.max(error.retryAfterMs ?? 0, backoff * (0.8 + 0.4 * Math.random())), signal);
    }
  }
}

/** Waits so long, or until the signal; the next attempt then finds out for itself. */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
