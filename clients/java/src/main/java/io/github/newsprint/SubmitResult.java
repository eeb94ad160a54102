package io.github.newsprint;

import io.github.newsprint.v1.Article;
import io.github.newsprint.v1.SubmitArticleResponse;
import java.util.Optional;

/**
 * What became of one article of several: an outcome, or the error of that article.
 *
 * @param article as it was sent, with the id it was given if it had none
 */
public record SubmitResult(
    Article article, Optional<SubmitArticleResponse> outcome, Optional<NewsprintException> error) {

  static SubmitResult remembered(Article article, SubmitArticleResponse outcome) {
    return new SubmitResult(article, Optional.of(outcome), Optional.empty());
  }

  static SubmitResult refused(Article article, NewsprintException error) {
    return new SubmitResult(article, Optional.empty(), Optional.of(error));
  }
}
