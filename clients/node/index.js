/**
 * A client for newsprint: what is a news article about, and was it seen before?
 * What there is, is described in index.d.ts.
 */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import { AdminService } from "./gen/newsprint/v1/admin_service_pb.js";
import { ArticleSchema } from "./gen/newsprint/v1/article_pb.js";
import { ArticleService, SubmitArticleStreamRequestSchema } from "./gen/newsprint/v1/article_service_pb.js";

export { ArticleView, MatchKind, Reliability, Verdict } from "./gen/newsprint/v1/article_pb.js";

export const DEFAULT_ADDRESS = "localhost:50051";
export const DEFAULT_TIMEOUT_MS = 30_000;

const DEFAULT_WINDOW = 64;
const ANSWER_BYTES_MAX = 64 << 20;
const REQUEST_BYTES_MAX = 8 << 20;
const SERVICE_CONFIG = readFileSync(new URL("service_config.json", import.meta.url), "utf8");

export class NewsprintError extends Error {
  constructor(status, options) {
    const details = status.details ?? [];
    const unpack = (schema) =>
      details.map((detail) => anyUnpack(detail, schema)).find((detail) => detail !== undefined);
    const reason = unpack(ErrorInfoSchema)?.reason ?? "";
    const code = grpc.status[status.code] ?? "UNKNOWN";
    super(`${status.message} (${code}${reason && `, ${reason}`})`, options);
    this.name = "NewsprintError";
    this.code = status.code;
    this.reason = reason;
    this.fields = (unpack(BadRequestSchema)?.fieldViolations ?? []).map(
      ({ field, description }) => ({ field, description }),
    );
    const delay = unpack(RetryInfoSchema)?.retryDelay;
    this.retryAfterMs = delay && durationMs(delay);
  }

  get isPassing() {
    return this.code === grpc.status.UNAVAILABLE || this.code === grpc.status.RESOURCE_EXHAUSTED;
  }
}

/** The error of a call: its details are a whole google.rpc.Status in the trailers. */
function errorOfCall(error) {
  if (!(error instanceof Error) || typeof error.code !== "number") return error;
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = bytes === undefined ? [] : fromBinary(StatusSchema, bytes).details;
  return new NewsprintError({ code: error.code, message: error.details, details }, { cause: error });
}

/** Like that other article, but with an id: a call that is sent again must not make another one. */
function withId(article) {
  const message = create(ArticleSchema, article);
  return message.articleId ? message : { ...message, articleId: randomUUID() };
}

function resultOf({ result }) {
  return result.case === "outcome" ? result.value : new NewsprintError(result.value);
}

export class Client {
  #channel;
  #timeoutMs;

  constructor(address = DEFAULT_ADDRESS, { tls, token, timeoutMs = DEFAULT_TIMEOUT_MS, channelOptions } = {}) {
    this.#channel = new grpc.Client(address, credentials(tls, token), {
      "grpc.service_config": SERVICE_CONFIG,
      "grpc.max_receive_message_length": ANSWER_BYTES_MAX,
      // What is larger would not be sent again.
      "grpc.per_rpc_retry_buffer_size": REQUEST_BYTES_MAX,
      "grpc.retry_buffer_size": 16 * REQUEST_BYTES_MAX,
      ...channelOptions,
    });
    this.#timeoutMs = timeoutMs;
    this.articles = this.#unaryCalls(ArticleService);
    this.admin = this.#unaryCalls(AdminService);
  }

  close() {
    this.#channel.close();
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

  async *submitStream(articles, { collection, options, window = DEFAULT_WINDOW, ...callOptions } = {}) {
    const { path, serialize, deserialize } = wire(ArticleService.method.submitArticleStream);
    const call = this.#channel.makeBidiStreamRequest(
      path,
      serialize,
      deserialize,
      metadataOf(callOptions),
      { deadline: deadlineAfter(callOptions.timeoutMs) },
    );
    const unlink = cancelOnAbort(call, callOptions.signal);
    const room = new Room(window);
    const sent = [];
    let failure;
    const send = async () => {
      for await (const each of articles) {
        if (!(await room.take())) return;
        const article = withId(each);
        sent.push(article);
        call.write(create(SubmitArticleStreamRequestSchema, { collection, article, options }));
      }
      call.end();
    };
    send().catch((error) => {
      failure = { error };
      call.cancel();
    });
    try {
      for await (const answer of call) {
        room.give();
        yield { article: sent.shift(), result: resultOf(answer) };
      }
    } catch (error) {
      throw failure ? failure.error : errorOfCall(error);
    } finally {
      unlink();
      room.close();
      call.cancel();
    }
  }

  async *listArticles(query = {}, call) {
    let pageToken = query.pageToken;
    do {
      const page = await this.articles.listArticles({ ...query, pageToken }, call);
      yield* page.articles;
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  /** Every unary method of a service, by its name. */
  #unaryCalls(service) {
    const unary = service.methods.filter((method) => method.methodKind === "unary");
    return Object.fromEntries(
      unary.map((method) => [method.localName, (request, options) => this.#call(method, request, options)]),
    );
  }

  #call(method, request, options = {}) {
    const { path, serialize, deserialize } = wire(method);
    return new Promise((resolve, reject) => {
      let unlink = () => {};
      const call = this.#channel.makeUnaryRequest(
        path,
        serialize,
        deserialize,
        create(method.input, request),
        metadataOf(options),
        { deadline: deadlineAfter(options.timeoutMs ?? this.#timeoutMs) },
        (error, answer) => {
          unlink();
          if (error) reject(errorOfCall(error));
          else resolve(answer);
        },
      );
      unlink = cancelOnAbort(call, options.signal);
    });
  }
}

function credentials(tls, token) {
  if (!tls) {
    if (token !== undefined) throw new TypeError("a token is sent over TLS only: give tls too");
    return grpc.credentials.createInsecure();
  }
  const { rootCertificates = null, privateKey = null, certificateChain = null } = tls === true ? {} : tls;
  const channel = grpc.credentials.createSsl(rootCertificates, privateKey, certificateChain);
  if (token === undefined) return channel;
  const bearer = grpc.credentials.createFromMetadataGenerator((_, done) => {
    done(null, metadataOf({ metadata: { authorization: `Bearer ${token}` } }));
  });
  return grpc.credentials.combineChannelCredentials(channel, bearer);
}

/** What gRPC needs to know of a method. */
function wire(method) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (message) => Buffer.from(toBinary(method.input, message)),
    deserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

function metadataOf({ metadata = {} }) {
  const sent = new grpc.Metadata();
  for (const [key, value] of Object.entries(metadata)) sent.set(key, value);
  return sent;
}

function deadlineAfter(timeoutMs) {
  return timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
}

/** Returns a function that lets go of the signal. */
function cancelOnAbort(call, signal) {
  if (!signal) return () => {};
  const cancel = () => call.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  return () => signal.removeEventListener("abort", cancel);
}

/** Room for so many at a time. */
class Room {
  #free;
  #closed = false;
  #wake = () => {};

  constructor(size) {
    this.#free = size;
  }

  /** Waits for room, and takes it; false if there will be none any more. */
  async take() {
    while (this.#free === 0 && !this.#closed) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#free -= 1;
    return !this.#closed;
  }

  give() {
    this.#free += 1;
    this.#wake();
  }

  close() {
    this.#closed = true;
    this.#wake();
  }
}
