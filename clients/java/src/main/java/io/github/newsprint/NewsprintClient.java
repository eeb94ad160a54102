package io.github.newsprint;

import io.github.newsprint.v1.AdminServiceGrpc;
import io.github.newsprint.v1.Analysis;
import io.github.newsprint.v1.AnalyzeArticleRequest;
import io.github.newsprint.v1.Article;
import io.github.newsprint.v1.ArticleServiceGrpc;
import io.github.newsprint.v1.BatchSubmitArticlesRequest;
import io.github.newsprint.v1.BatchSubmitArticlesResult;
import io.github.newsprint.v1.ListArticlesRequest;
import io.github.newsprint.v1.ListArticlesResponse;
import io.github.newsprint.v1.StoredArticle;
import io.github.newsprint.v1.SubmitArticleRequest;
import io.github.newsprint.v1.SubmitArticleResponse;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * A client for newsprint: what is a news article about, and was it seen before?
 *
 * <pre>{@code
 * try (NewsprintClient client = NewsprintClient.connect("localhost:50051")) {
 *   SubmitArticleResponse outcome = client.submit(article);
 * }
 * }</pre>
 *
 * To be shared by all threads of a program. Refusals throw {@link NewsprintException}. Those that
 * pass (the server starts, or is overloaded) are tried again, five times over some four seconds.
 * Articles without an id are given one before they are sent: a call whose answer was lost is sent
 * again, and without an id that would be another article, and a duplicate of itself.
 */
public final class NewsprintClient implements AutoCloseable {
  private static final int ANSWER_BYTES_MAX = 64 << 20;
  private static final int REQUEST_BYTES_MAX = 8 << 20;

  private final ManagedChannel managed;
  private final Channel channel;

  private NewsprintClient(Builder builder) {
    managed =
        Grpc.newChannelBuilder(builder.target, builder.credentials())
            .defaultServiceConfig(RetryPolicy.SERVICE_CONFIG)
            .maxInboundMessageSize(ANSWER_BYTES_MAX)
            // What is larger than this would not be sent again.
            .perRpcBufferLimit(REQUEST_BYTES_MAX)
            .retryBufferSize(16L * REQUEST_BYTES_MAX)
            .build();
    channel = ClientInterceptors.intercept(managed, new Deadlines(builder.timeout));
  }

  /** Connects without TLS with the first call, and again whenever the connection is lost. */
  public static NewsprintClient connect(String target) {
    return builder(target).build();
  }

  public static Builder builder(String target) {
    return new Builder(target);
  }

  /** How to connect. */
  public static final class Builder {
    private final String target;
    private ChannelCredentials tls;
    private String token;
    private Duration timeout = Duration.ofSeconds(30);

    private Builder(String target) {
      this.target = target;
    }

    /** Talks TLS: {@code TlsChannelCredentials.create()} trusts what Java trusts. */
    public Builder tls(ChannelCredentials credentials) {
      tls = credentials;
      return this;
    }

    /** Sends a bearer token with every call, over TLS only. */
    public Builder token(String token) {
      this.token = token;
      return this;
    }

    /** How long a call may take that has no deadline of its own; 30 seconds by default. */
    public Builder timeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    public NewsprintClient build() {
      return new NewsprintClient(this);
    }

    private ChannelCredentials credentials() {
      if (token == null) {
        return tls == null ? InsecureChannelCredentials.create() : tls;
      }
      if (tls == null) {
        throw new IllegalStateException("a token is sent over TLS only: give tls(…) too");
      }
      return CompositeChannelCredentials.create(tls, new BearerToken(token));
    }
  }

  /** Analyses an article, looks for duplicates of it, and remembers it. */
  public SubmitArticleResponse submit(Article article) {
    return submit(article, SubmitOptions.DEFAULT);
  }

  public SubmitArticleResponse submit(Article article, SubmitOptions options) {
    SubmitArticleRequest request =
        SubmitArticleRequest.newBuilder()
            .setCollection(options.collection())
            .setArticle(withId(article))
            .setOptions(options.analysis())
            .build();
    return call(() -> articles().submitArticle(request));
  }

  /** The same, but remembers nothing. */
  public Analysis analyze(Article article, SubmitOptions options) {
    AnalyzeArticleRequest request =
        AnalyzeArticleRequest.newBuilder()
            .setCollection(options.collection())
            .setArticle(article)
            .setOptions(options.analysis())
            .build();
    return call(() -> articles().analyzeArticle(request)).getAnalysis();
  }

  /** Submits up to 1,000 articles in one call. Each has a result of its own, in their order. */
  public List<SubmitResult> submitBatch(List<Article> articles, SubmitOptions options) {
    BatchSubmitArticlesRequest request =
        BatchSubmitArticlesRequest.newBuilder()
            .setCollection(options.collection())
            .addAllArticles(articles.stream().map(NewsprintClient::withId).toList())
            .setOptions(options.analysis())
            .build();
    List<BatchSubmitArticlesResult> answers =
        call(() -> articles().batchSubmitArticles(request)).getResultsList();
    List<SubmitResult> results = new ArrayList<>(answers.size());
    for (BatchSubmitArticlesResult answer : answers) {
      Article article = request.getArticles(results.size());
      results.add(
          answer.hasError()
              ? SubmitResult.refused(article, NewsprintException.of(answer.getError()))
              : SubmitResult.remembered(article, answer.getOutcome()));
    }
    return results;
  }

  /**
   * Submits any number of articles, and gives each with its result, in their order.
   *
   * <p>Articles are taken, by another thread, as results are: at most a window of them is on its
   * way. An article at fault has its error in its result. If the stream as a whole fails, the
   * stream of results throws; sending the same articles again is safe then, if they have ids. It
   * has no deadline. Close it if you do not read it to its end.
   */
  public Stream<SubmitResult> submitStream(Stream<Article> articles, SubmitOptions options) {
    return SubmitStream.open(channel, articles, options);
  }

  /** All articles of a collection, latest first, page by page as they are taken. */
  public Stream<StoredArticle> listArticles(ListArticlesRequest query) {
    return Stream.iterate(
            list(query),
            page -> page != null,
            page -> {
              String next = page.getNextPageToken();
              return next.isEmpty() ? null : list(query.toBuilder().setPageToken(next).build());
            })
        .flatMap(page -> page.getArticlesList().stream());
  }

  private ListArticlesResponse list(ListArticlesRequest query) {
    return call(() -> articles().listArticles(query));
  }

  /**
   * The generated stub, for all else the contract has. It throws StatusRuntimeException, of which
   * {@link NewsprintException#of(Throwable)} makes ours.
   */
  public ArticleServiceGrpc.ArticleServiceBlockingStub articles() {
    return ArticleServiceGrpc.newBlockingStub(channel);
  }

  /** The generated stub for those who run the server. */
  public AdminServiceGrpc.AdminServiceBlockingStub admin() {
    return AdminServiceGrpc.newBlockingStub(channel);
  }

  /** The connection, for other kinds of stubs. */
  public Channel channel() {
    return channel;
  }

  /** Ends the connection, and calls in work that take over 5 seconds more. */
  @Override
  public void close() {
    managed.shutdown();
    try {
      managed.awaitTermination(5, TimeUnit.SECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    } finally {
      managed.shutdownNow();
    }
  }

  static Article withId(Article article) {
    return article.getArticleId().isEmpty()
        ? article.toBuilder().setArticleId(UUID.randomUUID().toString()).build()
        : article;
  }

  private static <T> T call(Supplier<T> call) {
    try {
      return call.get();
    } catch (StatusRuntimeException refused) {
      throw NewsprintException.of(refused);
    }
  }
}
