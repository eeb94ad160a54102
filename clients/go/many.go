package newsprint

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/newsprint/newsprint/clients/go/newsprintv1"
)

// Result is what became of one article of several. Either Outcome or Err is set.
type Result struct {
	Article *newsprintv1.Article
	Outcome *newsprintv1.SubmitArticleResponse
	Err     *Error
}

// SubmitBatch submits up to 1,000 articles in one call. Each has a result, in their order.
func (c *Client) SubmitBatch(
	ctx context.Context, request *newsprintv1.BatchSubmitArticlesRequest,
) ([]Result, error) {
	request = withIDs(request).(*newsprintv1.BatchSubmitArticlesRequest)
	response, err := c.BatchSubmitArticles(ctx, request)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(response.GetResults()))
	for i, item := range response.GetResults() {
		results[i] = resultOf(request.GetArticles()[i], item)
	}
	return results, nil
}

// StreamOptions says how to submit a stream. The zero value will do.
type StreamOptions struct {
	// Collection to put the articles into; empty for the default one.
	Collection string

	// Analysis says how to analyse them.
	Analysis *newsprintv1.AnalysisOptions

	// Window is how many articles may be on their way, sent and not yet answered; 64 by default.
	Window int
}

// SubmitStream submits any number of articles, and yields each with its result, in their order.
//
// Articles are taken, by another goroutine, as results are: at most a window of them is on its way.
// An article at fault has its error in its result. If the stream as a whole fails, the error is
// yielded last, without a result; sending the same articles again is safe then, if they have ids.
// The stream has no deadline but its context's.
func (c *Client) SubmitStream(
	ctx context.Context, articles iter.Seq[*newsprintv1.Article], options StreamOptions,
) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.SubmitArticleStream(ctx)
		if err != nil {
			yield(Result{}, asError(err))
			return
		}
		window := options.Window
		if window == 0 {
			window = defaultWindow
		}
		room := make(chan struct{}, window)
		sent := make(chan *newsprintv1.Article, window)
		go func() {
			for article := range articles {
				article = withID(article)
				select {
				case room <- struct{}{}:
				case <-ctx.Done():
					return
				}
				sent <- article
				// What is wrong with the stream, receiving tells.
				if stream.Send(&newsprintv1.SubmitArticleStreamRequest{
					Collection: options.Collection,
					Article:    article,
					Options:    options.Analysis,
				}) != nil {
					return
				}
			}
			_ = stream.CloseSend()
		}()
		for {
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Result{}, asError(err))
				return
			}
			article := <-sent
			<-room
			if !yield(resultOf(article, answer), nil) {
				return
			}
		}
	}
}

type answer interface {
	GetOutcome() *newsprintv1.SubmitArticleResponse
	GetError() *newsprintv1.ItemError
}

func resultOf(article *newsprintv1.Article, answer answer) Result {
	if item := answer.GetError(); item != nil {
		return Result{Article: article, Err: errorOfItem(item)}
	}
	return Result{Article: article, Outcome: answer.GetOutcome()}
}
