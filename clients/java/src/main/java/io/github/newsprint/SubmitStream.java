package io.github.newsprint;

import io.github.newsprint.v1.Article;
import io.github.newsprint.v1.ArticleServiceGrpc;
import io.github.newsprint.v1.SubmitArticleStreamRequest;
import io.github.newsprint.v1.SubmitArticleStreamResponse;
import io.grpc.Channel;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.util.Iterator;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** A stream at work: one thread sends, and whoever wants results receives. */
final class SubmitStream extends Spliterators.AbstractSpliterator<SubmitResult> {
  private final BlockingClientCall<SubmitArticleStreamRequest, SubmitArticleStreamResponse> call;
  private final SubmitOptions options;
  private final Semaphore room;
  private final BlockingQueue<Article> sent = new LinkedBlockingQueue<>();

  /** What the caller's articles threw. */
  private volatile RuntimeException failure;

  private volatile boolean isClosed;

  private SubmitStream(Channel channel, SubmitOptions options) {
    super(Long.MAX_VALUE, Spliterator.ORDERED | Spliterator.NONNULL);
    this.call = ArticleServiceGrpc.newBlockingV2Stub(channel).submitArticleStream();
    this.options = options;
    this.room = new Semaphore(options.window());
  }

  static Stream<SubmitResult> open(
      Channel channel, Stream<Article> articles, SubmitOptions options) {
    SubmitStream stream = new SubmitStream(channel, options);
    Thread sender = new Thread(() -> stream.send(articles), "newsprint-submit-stream");
    sender.setDaemon(true);
    sender.start();
    return StreamSupport.stream(stream, false).onClose(stream::close);
  }

  private void send(Stream<Article> articles) {
    try (articles) {
      Iterator<Article> each = articles.iterator();
      while (true) {
        room.acquire();
        if (isClosed || !each.hasNext()) {
          break;
        }
        Article article = NewsprintClient.withId(each.next());
        sent.add(article);
        SubmitArticleStreamRequest request =
            SubmitArticleStreamRequest.newBuilder()
                .setCollection(options.collection())
                .setArticle(article)
                .setOptions(options.analysis())
                .build();
        if (!call.write(request)) {
          return;
        }
      }
      call.halfClose();
    } catch (StatusException | InterruptedException broken) {
      // Receiving tells what is wrong with the stream.
    } catch (RuntimeException thrown) {
      failure = thrown;
      call.cancel("the articles cannot be read", thrown);
    }
  }

  @Override
  public boolean tryAdvance(Consumer<? super SubmitResult> action) {
    SubmitArticleStreamResponse answer;
    try {
      answer = call.read();
    } catch (StatusException refused) {
      close();
      if (failure != null) {
        throw failure;
      }
      throw NewsprintException.of(refused);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      close();
      throw new IllegalStateException("interrupted while waiting for an answer", interrupted);
    }
    if (answer == null) {
      return false;
    }
    Article article = sent.remove();
    room.release();
    action.accept(
        answer.hasError()
            ? SubmitResult.refused(article, NewsprintException.of(answer.getError()))
            : SubmitResult.remembered(article, answer.getOutcome()));
    return true;
  }

  private void close() {
    isClosed = true;
    room.release();
    call.cancel("closed by the client", null);
  }
}
