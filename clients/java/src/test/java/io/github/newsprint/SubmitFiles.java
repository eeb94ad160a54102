package io.github.newsprint;

import io.github.newsprint.v1.Analysis;
import io.github.newsprint.v1.Article;
import io.github.newsprint.v1.SubmitArticleResponse;
import io.github.newsprint.v1.TopicScore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * An example: submits files to newsprint and prints what it answers.
 *
 * <p>The first line of a file is the article's title, the rest its body. The file's name is its id,
 * so submitting it again is safe: the first answer is repeated. NEWSPRINT_ADDR says where the
 * server is.
 */
public final class SubmitFiles {
  public static void main(String[] paths) {
    String target = Optional.ofNullable(System.getenv("NEWSPRINT_ADDR")).orElse("localhost:50051");
    Stream<Article> articles = Arrays.stream(paths).map(Path::of).map(SubmitFiles::read);
    try (NewsprintClient client = NewsprintClient.connect(target);
        Stream<SubmitResult> results = client.submitStream(articles, SubmitOptions.DEFAULT)) {
      results.forEach(
          result -> {
            result.outcome().ifPresent(SubmitFiles::describe);
            result
                .error()
                .ifPresent(
                    error ->
                        System.err.println(
                            result.article().getArticleId() + ": " + error.getMessage()));
          });
    }
  }

  static Article read(Path path) {
    try {
      String[] text = Files.readString(path).strip().split("\n", 2);
      return Article.newBuilder()
          .setArticleId(path.getFileName().toString())
          .setTitle(text[0])
          .setBody(text.length > 1 ? text[1].strip() : "")
          .build();
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  private static void describe(SubmitArticleResponse outcome) {
    Analysis analysis = outcome.getAnalysis();
    System.out.println(outcome.getArticleId() + ": " + analysis.getDuplicates().getVerdict());
    analysis.getClassification().getTopicsList().stream()
        .filter(TopicScore::getAssigned)
        .forEach(
            score ->
                System.out.printf("  topic %s %.0f %%%n", score.getTopic(), 100 * score.getProbability()));
    analysis
        .getDuplicates()
        .getMatchesList()
        .forEach(match -> System.out.printf("  like %s: %s%n", match.getArticleId(), match.getTitle()));
  }
}
