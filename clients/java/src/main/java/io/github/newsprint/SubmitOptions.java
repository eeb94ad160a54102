package io.github.newsprint;

import io.github.newsprint.v1.AnalysisOptions;

/**
 * How to submit or analyse articles.
 *
 * @param collection to put them into or to look in; empty for the default one
 * @param analysis how to analyse them
 * @param window how many articles of a stream may be on their way, sent and not yet answered
 */
public record SubmitOptions(String collection, AnalysisOptions analysis, int window) {
  /** The default collection, and a window of 64. */
  public static final SubmitOptions DEFAULT =
      new SubmitOptions("", AnalysisOptions.getDefaultInstance(), 64);

  public static SubmitOptions collection(String collection) {
    return new SubmitOptions(collection, DEFAULT.analysis, DEFAULT.window);
  }

  public SubmitOptions withAnalysis(AnalysisOptions analysis) {
    return new SubmitOptions(collection, analysis, window);
  }

  public SubmitOptions withWindow(int window) {
    return new SubmitOptions(collection, analysis, window);
  }
}
