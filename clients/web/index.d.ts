import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import type { Code } from "@connectrpc/connect";

import type { AdminService } from "./gen/newsprint/v1/admin_service_pb.js";
import type {
  Analysis,
  AnalysisOptionsSchema,
  ArticleSchema,
  StoredArticle,
} from "./gen/newsprint/v1/article_pb.js";
import type {
  ArticleService,
  ListArticlesRequestSchema,
  SubmitArticleResponse,
} from "./gen/newsprint/v1/article_service_pb.js";
import type { ErrorReason } from "./gen/newsprint/v1/error_pb.js";

export { Code } from "@connectrpc/connect";
export { ArticleView, MatchKind, Reliability, Verdict } from "./gen/newsprint/v1/article_pb.js";

/** Milliseconds an attempt may take unless it is told otherwise. */
export declare const DEFAULT_TIMEOUT_MS: number;

/** An article as a plain object or as a message. */
export type ArticleInit = MessageInitShape<typeof ArticleSchema>;

export interface ClientOptions {
  /** Sent as a bearer token; a function is asked for it before every call. Use it over HTTPS only. */
  token?: string | (() => string | undefined);
  /** How long an attempt may take, in milliseconds, if the call says nothing else. */
  timeoutMs?: number;
  /** What to send requests with, instead of the global fetch. */
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  /** How long each attempt of this call may take, in milliseconds. */
  timeoutMs?: number;
  /** How often to try what is refused for the moment; 5 by default, 1 for not again. */
  attemptsMax?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  headers?: HeadersInit;
}

export interface SubmitOptions extends CallOptions {
  collection?: string;
  /** How to analyse the articles. */
  options?: MessageInitShape<typeof AnalysisOptionsSchema>;
}

/** What became of one article of several. */
export type Result = SubmitArticleResponse | NewsprintError;

/** The unary methods of a service. */
export type UnaryCalls<Service> =
  Service extends GenService<infer Methods>
    ? {
        [Name in keyof Methods as Methods[Name]["methodKind"] extends "unary" ? Name : never]: (
          request: MessageInitShape<Methods[Name]["input"]>,
          options?: CallOptions,
        ) => Promise<MessageShape<Methods[Name]["output"]>>;
      }
    : never;

/**
 * Calls newsprint by gRPC-Web.
 *
 * Refusals throw NewsprintError. Those that pass (the server starts, or is overloaded) are tried
 * again, with pauses as long as the server asks for.
 */
export declare class Client {
  /** Where the server is, such as "https://news.example"; by default where the page came from. */
  constructor(address?: string, options?: ClientOptions);

  /** Every method of the contract that answers once, by its name. */
  readonly articles: UnaryCalls<typeof ArticleService>;
  readonly admin: UnaryCalls<typeof AdminService>;

  /** Analyses an article, looks for duplicates of it, and remembers it. */
  submit(article: ArticleInit, options?: SubmitOptions): Promise<SubmitArticleResponse>;

  /** The same, but remembers nothing. */
  analyze(article: ArticleInit, options?: SubmitOptions): Promise<Analysis>;

  /**
   * Submits up to 1,000 articles in one call. Each has a result of its own, in their order: an
   * outcome, or the error of that article.
   */
  submitBatch(articles: Iterable<ArticleInit>, options?: SubmitOptions): Promise<Result[]>;

  /** The articles of a collection, latest first, read page by page as they are asked for. */
  listArticles(
    query?: MessageInitShape<typeof ListArticlesRequestSchema>,
    options?: CallOptions,
  ): AsyncGenerator<StoredArticle, void, undefined>;
}

/** A refusal. */
export declare class NewsprintError extends Error {
  readonly code: Code;
  /** What the server says, for people; `message` has code and reason besides. */
  readonly plainMessage: string;
  /** Why: what to branch on. Empty if the error did not come from newsprint. */
  readonly reason: keyof typeof ErrorReason | "" | (string & {});
  /** Every field at fault. */
  readonly fields: { field: string; description: string }[];
  /** How long to wait before trying again, if that makes sense. */
  readonly retryAfterMs?: number;
  /** Whether the same call may succeed later. */
  readonly isPassing: boolean;
}
