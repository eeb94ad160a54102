package io.github.newsprint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.newsprint.NewsprintException.FieldViolation;
import io.github.newsprint.v1.Article;
import io.github.newsprint.v1.ArticleView;
import io.github.newsprint.v1.DeleteCollectionRequest;
import io.github.newsprint.v1.ErrorReason;
import io.github.newsprint.v1.FindSimilarRequest;
import io.github.newsprint.v1.FindSimilarResponse;
import io.github.newsprint.v1.ListArticlesRequest;
import io.github.newsprint.v1.StoredArticle;
import io.github.newsprint.v1.SubmitArticleRequest;
import io.github.newsprint.v1.SubmitArticleResponse;
import io.github.newsprint.v1.Verdict;
import io.grpc.ChannelCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Needs a server at NEWSPRINT_ADDR, and the gateway; see scripts/e2e. */
class NewsprintClientTest {
  private static final Path TEXTS = Path.of("..", "articles");

  private final NewsprintClient client = NewsprintClient.connect(setting("NEWSPRINT_ADDR"));
  private final String collection = "java-" + UUID.randomUUID();
  private final SubmitOptions options = SubmitOptions.collection(collection);

  @AfterEach
  void deleteCollection() {
    try (client) {
      client
          .admin()
          .deleteCollection(
              DeleteCollectionRequest.newBuilder().setCollection(collection).build());
    } catch (StatusRuntimeException refused) {
      // A test that remembered nothing has made no collection.
      assertEquals(
          ErrorReason.ERROR_REASON_COLLECTION_NOT_FOUND, NewsprintException.of(refused).reason());
    }
  }

  private static String setting(String name) {
    String value = System.getenv(name);
    if (value == null) {
      throw new IllegalStateException(name + " is not set; scripts/e2e starts a server and sets it");
    }
    return value;
  }

  private static Article article(String name) {
    return SubmitFiles.read(TEXTS.resolve(name + ".txt")).toBuilder().setArticleId(name).build();
  }

  private static Article blank() {
    return Article.newBuilder().setArticleId("blank").build();
  }

  private static Stream<Article> numbered(int count) {
    return IntStream.range(0, count)
        .mapToObj(
            number ->
                Article.newBuilder()
                    .setArticleId("pier-" + number)
                    .setTitle("Pier " + number + " of " + count + " is closed for the winter")
                    .build());
  }

  private static Set<String> fields(NewsprintException error) {
    return error.fields().stream().map(FieldViolation::field).collect(Collectors.toSet());
  }

  private static ChannelCredentials certificates() {
    Path folder = Path.of(setting("NEWSPRINT_GATEWAY_CERTS"));
    try {
      return TlsChannelCredentials.newBuilder()
          .trustManager(folder.resolve("ca.crt").toFile())
          .keyManager(folder.resolve("client.crt").toFile(), folder.resolve("client.key").toFile())
          .build();
    } catch (IOException unreadable) {
      throw new IllegalStateException(unreadable);
    }
  }

  private static NewsprintClient gateway(ChannelCredentials credentials, String token) {
    return NewsprintClient.builder(setting("NEWSPRINT_GATEWAY_ADDR"))
        .tls(credentials)
        .token(token)
        .build();
  }

  @Test
  void aCopyIsToldFromAnOriginal() {
    SubmitArticleResponse first = client.submit(article("harbour-tolls"), options);
    assertEquals(Verdict.VERDICT_UNIQUE, first.getAnalysis().getDuplicates().getVerdict());
    Verdict edited =
        client.analyze(article("harbour-tolls-edited"), options).getDuplicates().getVerdict();
    assertEquals(Verdict.VERDICT_NEAR_DUPLICATE, edited);

    client.submit(article("stone-oven"), options);
    ListArticlesRequest query =
        ListArticlesRequest.newBuilder()
            .setCollection(collection)
            .setPageSize(1)
            .setView(ArticleView.ARTICLE_VIEW_BASIC)
            .build();
    List<Article> listed = client.listArticles(query).map(StoredArticle::getArticle).toList();
    assertEquals(
        List.of("stone-oven", "harbour-tolls"), listed.stream().map(Article::getArticleId).toList());
    assertTrue(listed.stream().allMatch(listedArticle -> listedArticle.getBody().isEmpty()));
  }

  @Test
  void aFingerprintGoesThereAndBack() {
    SubmitArticleResponse outcome = client.submit(article("harbour-tolls"), options);
    FindSimilarResponse found =
        client
            .articles()
            .findSimilar(
                FindSimilarRequest.newBuilder()
                    .setCollection(collection)
                    .setSimhash(outcome.getAnalysis().getFingerprint().getSimhash())
                    .build());
    assertEquals("harbour-tolls", found.getMatches(0).getArticleId());
    assertEquals(1, found.getMatchesCount());
  }

  @Test
  void anArticleWithoutAnIdGetsOneBeforeItIsSent() {
    Article nameless = Article.newBuilder().setTitle("The lighthouse of Orvo goes dark").build();
    SubmitArticleResponse outcome = client.submit(nameless, options);
    SubmitResult result = client.submitBatch(List.of(nameless), options).get(0);
    String id = result.article().getArticleId();
    assertEquals(id, result.outcome().orElseThrow().getArticleId());
    assertNotEquals(id, outcome.getArticleId());
  }

  @Test
  void aBatchTellsOfEachArticle() {
    List<SubmitResult> results =
        client.submitBatch(List.of(article("ridge-shelling"), blank()), options);
    assertEquals("ridge-shelling", results.get(0).outcome().orElseThrow().getArticleId());
    NewsprintException bad = results.get(1).error().orElseThrow();
    assertEquals(Status.Code.INVALID_ARGUMENT, bad.code());
    assertEquals(ErrorReason.ERROR_REASON_INVALID_FIELDS, bad.reason());
    assertEquals(Set.of("articles[1].title", "articles[1].body"), fields(bad));
    assertTrue(!bad.isPassing() && bad.retryAfter().isEmpty());
  }

  @Test
  void aRefusedCallSaysWhy() {
    Article wrong = Article.newBuilder().setLanguage("?").build();
    NewsprintException error =
        assertThrows(NewsprintException.class, () -> client.submit(wrong, options));
    assertEquals(Set.of("article.title", "article.body", "article.language"), fields(error));
    assertTrue(error.getMessage().endsWith("(INVALID_ARGUMENT, INVALID_FIELDS)"));
    assertInstanceOf(StatusRuntimeException.class, error.getCause());
  }

  @Test
  void aStreamPairsResultsWithArticles() {
    List<Article> articles =
        Stream.of(numbered(300), Stream.of(blank(), article("stone-oven")))
            .flatMap(each -> each)
            .toList();
    List<SubmitResult> results = client.submitStream(articles.stream(), options).toList();
    assertEquals(articles, results.stream().map(SubmitResult::article).toList());
    List<SubmitResult> refused =
        results.stream().filter(result -> result.error().isPresent()).toList();
    assertEquals(1, refused.size());
    assertEquals(
        ErrorReason.ERROR_REASON_INVALID_FIELDS, refused.get(0).error().orElseThrow().reason());
    assertEquals("stone-oven", results.get(301).outcome().orElseThrow().getArticleId());
  }

  @Test
  void aStreamTakesNoMoreThanItsWindow() {
    AtomicInteger taken = new AtomicInteger();
    Stream<Article> counted = numbered(500).peek(each -> taken.incrementAndGet());
    try (Stream<SubmitResult> results = client.submitStream(counted, options.withWindow(8))) {
      Iterator<SubmitResult> each = results.iterator();
      for (int answered = 1; answered <= 100; answered++) {
        each.next();
        // An iterator over a stream is one ahead.
        assertTrue(taken.get() <= answered + 1 + 8, taken + " taken, " + answered + " answered");
      }
    }
    assertTrue(taken.get() <= 109);
  }

  @Test
  void whatTheArticlesThrowComesOutOfTheStream() {
    Stream<Article> broken =
        Stream.of("stone-oven", "no-such-file").map(NewsprintClientTest::article);
    assertThrows(
        java.io.UncheckedIOException.class, () -> client.submitStream(broken, options).toList());
  }

  @Test
  void aCallEndsByItsDeadline() {
    try (NewsprintClient hasty =
        NewsprintClient.builder(setting("NEWSPRINT_ADDR")).timeout(Duration.ofMillis(1)).build()) {
      List<Article> many = numbered(1000).toList();
      NewsprintException late =
          assertThrows(NewsprintException.class, () -> hasty.submitBatch(many, options));
      assertEquals(Status.Code.DEADLINE_EXCEEDED, late.code());
    }
  }

  @Test
  void noServerIsAnErrorToo() {
    try (NewsprintClient nobody = NewsprintClient.connect("127.0.0.1:1")) {
      NewsprintException error =
          assertThrows(NewsprintException.class, () -> nobody.submit(article("stone-oven")));
      assertEquals(Status.Code.UNAVAILABLE, error.code());
      assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, error.reason());
      assertTrue(error.isPassing());
    }
  }

  @Test
  void certificatesAndTokenOpenTheGateway() {
    try (NewsprintClient gateway = gateway(certificates(), "a-token")) {
      gateway.submit(article("stone-oven"), options);
      assertEquals(20, gateway.submitStream(numbered(20), options).count());
      NewsprintException error =
          assertThrows(NewsprintException.class, () -> gateway.submit(blank(), options));
      assertEquals(ErrorReason.ERROR_REASON_INVALID_FIELDS, error.reason());
    }
    try (NewsprintClient stranger = gateway(certificates(), "another")) {
      NewsprintException denied =
          assertThrows(
              NewsprintException.class, () -> stranger.submit(article("stone-oven"), options));
      assertEquals(Status.Code.UNAUTHENTICATED, denied.code());
    }
  }

  @Test
  void withoutItsAuthorityOrOurCertificateTheGatewayIsClosed() throws IOException {
    Path authority = Path.of(setting("NEWSPRINT_GATEWAY_CERTS"), "ca.crt");
    List<ChannelCredentials> wrong =
        List.of(
            TlsChannelCredentials.create(),
            TlsChannelCredentials.newBuilder().trustManager(authority.toFile()).build());
    for (ChannelCredentials credentials : wrong) {
      try (NewsprintClient closed = gateway(credentials, "a-token")) {
        NewsprintException error =
            assertThrows(
                NewsprintException.class, () -> closed.analyze(article("stone-oven"), options));
        assertEquals(Status.Code.UNAVAILABLE, error.code());
      }
    }
  }

  @Test
  void aTokenIsNotSentInTheClear() {
    NewsprintClient.Builder builder = NewsprintClient.builder("localhost:50051").token("a-token");
    assertThrows(IllegalStateException.class, builder::build);
  }

  /** A call as large as articles get: by default gRPC sends again only what is smaller. */
  private Status.Code failing(String fail) {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("x-fail", Metadata.ASCII_STRING_MARSHALLER), fail);
    SubmitArticleRequest request =
        SubmitArticleRequest.newBuilder()
            .setCollection(collection)
            .setArticle(
                article("stone-oven").toBuilder().setBody("oven ".repeat((1 << 20) / 5)))
            .build();
    try (NewsprintClient gateway = gateway(certificates(), "a-token")) {
      gateway
          .articles()
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
          .submitArticle(request);
      return Status.Code.OK;
    } catch (StatusRuntimeException refused) {
      return refused.getStatus().getCode();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
  void whatPassesIsTriedAgain(String code) {
    assertEquals(Status.Code.OK, failing(code + " 2"));
  }

  @Test
  void andGivenUpAfterFiveTimesAndWhatIsFinalIsNotTriedAgain() {
    assertEquals(Status.Code.UNAVAILABLE, failing("UNAVAILABLE 5"));
    assertEquals(Status.Code.INVALID_ARGUMENT, failing("INVALID_ARGUMENT 1"));
  }

  @Test
  void theExampleTellsTopicsAndVerdicts() {
    PrintStream standard = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    System.setOut(new PrintStream(printed, true));
    try {
      SubmitFiles.main(
          new String[] {
            TEXTS.resolve("harbour-tolls.txt").toString(),
            TEXTS.resolve("ridge-shelling.txt").toString()
          });
    } finally {
      System.setOut(standard);
    }
    assertTrue(printed.toString().contains("ridge-shelling.txt: VERDICT_"), printed.toString());
    assertTrue(printed.toString().contains("  topic conflict 100 %"), printed.toString());
  }
}
