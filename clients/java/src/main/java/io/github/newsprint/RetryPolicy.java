package io.github.newsprint;

import java.util.List;
import java.util.Map;

/** The retry policy that every client of newsprint comes with, as a gRPC service config. */
final class RetryPolicy {
  private static final String ARTICLES = "newsprint.v1.ArticleService";
  private static final String ADMIN = "newsprint.v1.AdminService";

  static final Map<String, Object> SERVICE_CONFIG =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of("service", ARTICLES), Map.of("service", ADMIN)),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts", 5.0,
                      "initialBackoff", "0.1s",
                      "maxBackoff", "5s",
                      "backoffMultiplier", 3.0,
                      "retryableStatusCodes", List.of("UNAVAILABLE", "RESOURCE_EXHAUSTED"))),
              // Neither is the same when sent twice.
              Map.of(
                  "name",
                  List.of(
                      Map.of("service", ARTICLES, "method", "SubmitArticleStream"),
                      Map.of("service", ADMIN, "method", "CreateBackup")))));

  private RetryPolicy() {}
}
