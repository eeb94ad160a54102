package newsprint_test

// The client library. Needs a server at NEWSPRINT_ADDR, and the gateway; see scripts/e2e.

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	newsprint "github.com/newsprint/newsprint/clients/go"
	"github.com/newsprint/newsprint/clients/go/newsprintv1"
)

func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; scripts/e2e starts a server and sets it", name)
	}
	return value
}

func connect(t *testing.T, target string, opts ...newsprint.Option) *newsprint.Client {
	t.Helper()
	client, err := newsprint.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// direct returns a client of the server, and a collection of its own.
func direct(t *testing.T) (*newsprint.Client, string) {
	t.Helper()
	client := connect(t, setting(t, "NEWSPRINT_ADDR"))
	collection := "go-" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		request := &newsprintv1.DeleteCollectionRequest{Collection: collection}
		_, err := client.Admin.DeleteCollection(context.Background(), request)
		// A test that remembered nothing has made no collection.
		if err != nil && status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	})
	return client, collection
}

func certificates(t *testing.T) *tls.Config {
	t.Helper()
	folder := setting(t, "NEWSPRINT_GATEWAY_CERTS")
	pem, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	ours, err := tls.LoadX509KeyPair(
		filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{ours}}
}

func gateway(t *testing.T, config *tls.Config, token string, opts ...newsprint.Option) *newsprint.Client {
	t.Helper()
	opts = append(opts, newsprint.WithTLS(config), newsprint.WithToken(token))
	return connect(t, setting(t, "NEWSPRINT_GATEWAY_ADDR"), opts...)
}

func article(t *testing.T, name string) *newsprintv1.Article {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "articles", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	title, body, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return &newsprintv1.Article{ArticleId: name, Title: title, Body: strings.TrimSpace(body)}
}

func numbered(count int) iter.Seq[*newsprintv1.Article] {
	return func(yield func(*newsprintv1.Article) bool) {
		for number := range count {
			title := fmt.Sprintf("Pier %d of %d is closed for the winter", number, count)
			if !yield(&newsprintv1.Article{ArticleId: fmt.Sprint("pier-", number), Title: title}) {
				return
			}
		}
	}
}

func refusal(t *testing.T, err error) *newsprint.Error {
	t.Helper()
	var refused *newsprint.Error
	if !errors.As(err, &refused) {
		t.Fatalf("not refused, but %v", err)
	}
	return refused
}

func fields(refused *newsprint.Error) []string {
	var names []string
	for _, violation := range refused.Fields {
		names = append(names, violation.Field)
	}
	slices.Sort(names)
	return names
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestACopyIsToldFromAnOriginal(t *testing.T) {
	client, collection := direct(t)
	request := &newsprintv1.SubmitArticleRequest{
		Collection: collection, Article: article(t, "harbour-tolls"),
	}
	first, err := client.SubmitArticle(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, first.GetAnalysis().GetDuplicates().GetVerdict(), newsprintv1.Verdict_VERDICT_UNIQUE)
	edited, err := client.AnalyzeArticle(t.Context(), &newsprintv1.AnalyzeArticleRequest{
		Collection: collection, Article: article(t, "harbour-tolls-edited"),
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, edited.GetAnalysis().GetDuplicates().GetVerdict(),
		newsprintv1.Verdict_VERDICT_NEAR_DUPLICATE)

	found, err := client.FindSimilar(t.Context(), &newsprintv1.FindSimilarRequest{
		Collection: collection,
		Query: &newsprintv1.FindSimilarRequest_Simhash{
			Simhash: first.GetAnalysis().GetFingerprint().GetSimhash(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, len(found.GetMatches()), 1)
	equal(t, found.GetMatches()[0].GetArticleId(), "harbour-tolls")
}

func TestAnArticleWithoutAnIDGetsOneBeforeItIsSent(t *testing.T) {
	client, collection := direct(t)
	nameless := &newsprintv1.Article{Title: "The lighthouse of Orvo goes dark"}
	request := &newsprintv1.SubmitArticleRequest{Collection: collection, Article: nameless}
	outcome, err := client.SubmitArticle(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	results, err := client.SubmitBatch(t.Context(), &newsprintv1.BatchSubmitArticlesRequest{
		Collection: collection, Articles: []*newsprintv1.Article{nameless},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, nameless.GetArticleId(), "")
	equal(t, len(outcome.GetArticleId()), len(rand.Text()))
	equal(t, results[0].Outcome.GetArticleId(), results[0].Article.GetArticleId())
	if results[0].Article.GetArticleId() == outcome.GetArticleId() {
		t.Fatal("two articles got one id")
	}
}

func TestABatchTellsOfEachArticle(t *testing.T) {
	client, collection := direct(t)
	results, err := client.SubmitBatch(t.Context(), &newsprintv1.BatchSubmitArticlesRequest{
		Collection: collection,
		Articles:   []*newsprintv1.Article{article(t, "ridge-shelling"), {ArticleId: "blank"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, results[0].Outcome.GetArticleId(), "ridge-shelling")
	bad := results[1].Err
	equal(t, bad.Code, codes.InvalidArgument)
	equal(t, bad.Reason, newsprintv1.ErrorReason_ERROR_REASON_INVALID_FIELDS)
	equal(t, fields(bad), []string{"articles[1].body", "articles[1].title"})
	if bad.IsPassing() || bad.RetryAfter != 0 {
		t.Fatal("trying again would not help")
	}
}

func TestARefusedCallSaysWhy(t *testing.T) {
	client, collection := direct(t)
	_, err := client.SubmitArticle(t.Context(), &newsprintv1.SubmitArticleRequest{
		Collection: collection, Article: &newsprintv1.Article{Language: "?"},
	})
	refused := refusal(t, err)
	equal(t, fields(refused), []string{"article.body", "article.language", "article.title"})
	equal(t, status.Code(err), codes.InvalidArgument)
	if !strings.HasSuffix(err.Error(), "(InvalidArgument, INVALID_FIELDS)") {
		t.Fatal(err)
	}
}

func TestAStreamPairsResultsWithArticles(t *testing.T) {
	client, collection := direct(t)
	articles := slices.Collect(numbered(300))
	articles = append(articles, &newsprintv1.Article{ArticleId: "blank"}, article(t, "stone-oven"))
	var results []newsprint.Result
	options := newsprint.StreamOptions{Collection: collection}
	for result, err := range client.SubmitStream(t.Context(), slices.Values(articles), options) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, result)
	}
	equal(t, len(results), len(articles))
	for i, result := range results {
		equal(t, result.Article.GetArticleId(), articles[i].GetArticleId())
		equal(t, result.Err != nil, i == 300)
	}
	equal(t, results[300].Err.Reason, newsprintv1.ErrorReason_ERROR_REASON_INVALID_FIELDS)
	equal(t, results[301].Outcome.GetArticleId(), "stone-oven")
}

func TestAStreamTakesNoMoreThanItsWindow(t *testing.T) {
	client, collection := direct(t)
	var taken atomic.Int64
	counted := func(yield func(*newsprintv1.Article) bool) {
		for each := range numbered(500) {
			taken.Add(1)
			if !yield(each) {
				return
			}
		}
	}
	var answered int64
	options := newsprint.StreamOptions{Collection: collection, Window: 8}
	for _, err := range client.SubmitStream(t.Context(), counted, options) {
		if err != nil {
			t.Fatal(err)
		}
		answered++
		// One more may have been taken, to wait for room.
		if taken.Load() > answered+9 {
			t.Fatalf("%d were taken when %d were answered", taken.Load(), answered)
		}
		if answered == 100 {
			break
		}
	}
	equal(t, answered, 100)
	if taken.Load() > 109 {
		t.Fatalf("%d were taken", taken.Load())
	}
}

func TestACallEndsByItsDeadline(t *testing.T) {
	_, collection := direct(t)
	client := connect(t, setting(t, "NEWSPRINT_ADDR"), newsprint.WithTimeout(time.Millisecond))
	batch := &newsprintv1.BatchSubmitArticlesRequest{
		Collection: collection, Articles: slices.Collect(numbered(1000)),
	}
	_, err := client.SubmitBatch(t.Context(), batch)
	equal(t, refusal(t, err).Code, codes.DeadlineExceeded)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	options := newsprint.StreamOptions{Collection: collection}
	for _, err = range client.SubmitStream(ctx, numbered(100_000), options) {
	}
	equal(t, refusal(t, err).Code, codes.DeadlineExceeded)
}

func TestNoServerIsAnErrorToo(t *testing.T) {
	client := connect(t, "127.0.0.1:1", newsprint.WithDialOptions(grpc.WithDisableRetry()))
	_, err := client.AnalyzeArticle(t.Context(),
		&newsprintv1.AnalyzeArticleRequest{Article: article(t, "stone-oven")})
	refused := refusal(t, err)
	equal(t, refused.Code, codes.Unavailable)
	equal(t, refused.Reason, newsprintv1.ErrorReason_ERROR_REASON_UNSPECIFIED)
	equal(t, refused.IsPassing(), true)
}

func TestCertificatesAndTokenOpenTheGateway(t *testing.T) {
	_, collection := direct(t)
	client := gateway(t, certificates(t), "a-token")
	request := &newsprintv1.SubmitArticleRequest{
		Collection: collection, Article: article(t, "stone-oven"),
	}
	if _, err := client.SubmitArticle(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	answered := 0
	options := newsprint.StreamOptions{Collection: collection}
	for _, err := range client.SubmitStream(t.Context(), numbered(20), options) {
		if err != nil {
			t.Fatal(err)
		}
		answered++
	}
	equal(t, answered, 20)
	_, err := client.SubmitArticle(t.Context(), &newsprintv1.SubmitArticleRequest{})
	equal(t, refusal(t, err).Reason, newsprintv1.ErrorReason_ERROR_REASON_INVALID_FIELDS)

	_, err = gateway(t, certificates(t), "another").SubmitArticle(t.Context(), request)
	equal(t, refusal(t, err).Code, codes.Unauthenticated)
}

func TestWithoutItsAuthorityOrOurCertificateTheGatewayIsClosed(t *testing.T) {
	noRetries := newsprint.WithDialOptions(grpc.WithDisableRetry())
	nameless := certificates(t)
	nameless.Certificates = nil
	for _, config := range []*tls.Config{{}, nameless} {
		_, err := gateway(t, config, "a-token", noRetries).AnalyzeArticle(t.Context(),
			&newsprintv1.AnalyzeArticleRequest{Article: article(t, "stone-oven")})
		equal(t, refusal(t, err).Code, codes.Unavailable)
	}
}

func TestATokenIsNotSentInTheClear(t *testing.T) {
	_, err := newsprint.NewClient("localhost:50051", newsprint.WithToken("a-token"))
	if err == nil || !strings.Contains(err.Error(), "transport level security") {
		t.Fatal(err)
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	_, collection := direct(t)
	client := gateway(t, certificates(t), "a-token")
	// As large as articles get: by default gRPC sends again only what is smaller.
	large := article(t, "stone-oven")
	large.Body = strings.Repeat("oven ", (1<<20)/5)
	failing := func(fail string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-fail", fail)
		_, err := client.SubmitArticle(ctx, &newsprintv1.SubmitArticleRequest{
			Collection: collection, Article: large,
		})
		return err
	}
	for _, passing := range []string{"UNAVAILABLE 2", "RESOURCE_EXHAUSTED 2"} {
		if err := failing(passing); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, refusal(t, failing("UNAVAILABLE 5")).Code, codes.Unavailable)
	equal(t, refusal(t, failing("INVALID_ARGUMENT 1")).Code, codes.InvalidArgument)
}
