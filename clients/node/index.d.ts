import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import type { ChannelOptions, status } from "@grpc/grpc-js";

import type { AdminService } from "./gen/newsprint/v1/admin_service_pb.js";
import type {
  Analysis,
  AnalysisOptionsSchema,
  Article,
  ArticleSchema,
  StoredArticle,
} from "./gen/newsprint/v1/article_pb.js";
import type {
  ArticleService,
  ListArticlesRequestSchema,
  SubmitArticleResponse,
} from "./gen/newsprint/v1/article_service_pb.js";
import type { ErrorReason } from "./gen/newsprint/v1/error_pb.js";

export { ArticleView, MatchKind, Reliability, Verdict } from "./gen/newsprint/v1/article_pb.js";

export declare const DEFAULT_ADDRESS: string;

/** Milliseconds a call may take unless it is told otherwise. */
export declare const DEFAULT_TIMEOUT_MS: number;

/** An article as a plain object or as a message. */
export type ArticleInit = MessageInitShape<typeof ArticleSchema>;

export interface Tls {
  /** PEM of the authorities to trust, instead of those that Node trusts. */
  rootCertificates?: Buffer;
  /** PEM of our own certificate with its key, for servers that ask for one. */
  privateKey?: Buffer;
  certificateChain?: Buffer;
}

export interface ClientOptions {
  /** TLS, with what Node trusts or as told; none by default. */
  tls?: true | Tls;
  /** Sent as a bearer token, over TLS only. */
  token?: string;
  /** How long a call may take, in milliseconds, if it is told nothing else. */
  timeoutMs?: number;
  /** Options of @grpc/grpc-js, such as "grpc.keepalive_time_ms". */
  channelOptions?: ChannelOptions;
}

export interface CallOptions {
  /** How long this call may take, in milliseconds. */
  timeoutMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  metadata?: Record<string, string>;
}

export interface SubmitOptions extends CallOptions {
  collection?: string;
  /** How to analyse the articles. */
  options?: MessageInitShape<typeof AnalysisOptionsSchema>;
}

export interface StreamOptions extends SubmitOptions {
  /** How many articles may be on their way, sent and not yet answered; 64 by default. */
  window?: number;
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
 * A connection to newsprint, to be shared by a whole program.
 *
 * Refusals throw NewsprintError. Those that pass (the server starts, or is overloaded) are tried
 * again, five times over some four seconds.
 */
export declare class Client {
  /** Connects with the first call, and again whenever the connection is lost. */
  constructor(address?: string, options?: ClientOptions);

  /** Every method of the contract that answers once, by its name. */
  readonly articles: UnaryCalls<typeof ArticleService>;
  readonly admin: UnaryCalls<typeof AdminService>;

  /** Ends the connection once the calls in work are done. */
  close(): void;

  /** Analyses an article, looks for duplicates of it, and remembers it. */
  submit(article: ArticleInit, options?: SubmitOptions): Promise<SubmitArticleResponse>;

  /** The same, but remembers nothing. */
  analyze(article: ArticleInit, options?: SubmitOptions): Promise<Analysis>;

  /**
   * Submits up to 1,000 articles in one call. Each has a result of its own, in their order: an
   * outcome, or the error of that article.
   */
  submitBatch(articles: Iterable<ArticleInit>, options?: SubmitOptions): Promise<Result[]>;

  /**
   * Submits any number of articles, and yields each with its result, in their order.
   *
   * Articles are taken as results are: at most `window` are on their way. An article at fault has
   * its error as its result; if the stream as a whole fails, NewsprintError is thrown. Sending the
   * same articles again is safe then, if they have ids. There is no deadline unless one is given.
   */
  submitStream(
    articles: Iterable<ArticleInit> | AsyncIterable<ArticleInit>,
    options?: StreamOptions,
  ): AsyncGenerator<{ article: Article; result: Result }, void, void>;

  /** All articles of a collection, latest first, page by page as they are taken. */
  listArticles(
    query?: MessageInitShape<typeof ListArticlesRequestSchema>,
    options?: CallOptions,
  ): AsyncGenerator<StoredArticle, void, void>;
}

/** A call, or one article of a batch or stream, that was refused. */
export declare class NewsprintError extends Error {
  /** The canonical code. */
  readonly code: status;
  /** Why; empty if the server did not say, as when it cannot be reached. */
  readonly reason: keyof typeof ErrorReason | (string & {});
  /** Every field at fault. */
  readonly fields: readonly { readonly field: string; readonly description: string }[];
  /** When trying again makes sense; undefined if it does not or if the server did not say. */
  readonly retryAfterMs: number | undefined;
  /** Whether the same call may succeed later. */
  readonly isPassing: boolean;
}
