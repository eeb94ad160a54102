// Package newsprint is a client for newsprint: what is a news article about, and was it seen
// before?
//
//	client, err := newsprint.NewClient("localhost:50051")
//	…
//	outcome, err := client.SubmitArticle(ctx, &newsprintv1.SubmitArticleRequest{Article: article})
//
// A [Client] has every method of the contract, whose types are in package newsprintv1, and two of
// its own for many articles: [Client.SubmitBatch] and [Client.SubmitStream].
package newsprint

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/newsprint/newsprint/clients/go/newsprintv1"
)

// DefaultTimeout is how long a call may take whose context has no deadline.
const DefaultTimeout = 30 * time.Second

const (
	defaultWindow   = 64
	answerBytesMax  = 64 << 20
	requestBytesMax = 8 << 20
)

//go:embed service_config.json
var serviceConfig string

// Client is a connection to newsprint, to be shared by all goroutines of a program.
//
// Calls that are refused return an [*Error]. Refusals that pass (the server starts, or is
// overloaded) are tried again, five times over some four seconds. Articles without an id are given
// one before they are sent: a call whose answer was lost is sent again, and without an id that
// would be another article, and a duplicate of itself.
type Client struct {
	newsprintv1.ArticleServiceClient

	// Admin has the methods for those who run the server.
	Admin newsprintv1.AdminServiceClient

	conn *grpc.ClientConn
}

type options struct {
	credentials credentials.TransportCredentials
	timeout     time.Duration
	dial        []grpc.DialOption
}

// Option says how to connect.
type Option func(*options)

// WithTLS talks TLS. An empty configuration trusts what the system trusts.
func WithTLS(config *tls.Config) Option {
	return func(o *options) { o.credentials = credentials.NewTLS(config) }
}

// WithToken sends a bearer token with every call, over TLS only.
func WithToken(token string) Option {
	return WithDialOptions(grpc.WithPerRPCCredentials(bearer(token)))
}

// WithTimeout sets how long a call may take whose context has no deadline.
func WithTimeout(timeout time.Duration) Option {
	return func(o *options) { o.timeout = timeout }
}

// WithDialOptions adds options of gRPC's own.
func WithDialOptions(dial ...grpc.DialOption) Option {
	return func(o *options) { o.dial = append(o.dial, dial...) }
}

// NewClient connects with the first call, and again whenever the connection is lost.
func NewClient(target string, opts ...Option) (*Client, error) {
	chosen := options{credentials: insecure.NewCredentials(), timeout: DefaultTimeout}
	for _, option := range opts {
		option(&chosen)
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(chosen.credentials),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(answerBytesMax),
			// What is larger would not be sent again.
			grpc.MaxRetryRPCBufferSize(requestBytesMax),
		),
		grpc.WithUnaryInterceptor(unary(chosen.timeout)),
	}
	conn, err := grpc.NewClient(target, append(dial, chosen.dial...)...)
	if err != nil {
		return nil, err
	}
	return &Client{
		ArticleServiceClient: newsprintv1.NewArticleServiceClient(conn),
		Admin:                newsprintv1.NewAdminServiceClient(conn),
		conn:                 conn,
	}, nil
}

// Close ends the connection, and all calls in work.
func (c *Client) Close() error {
	return c.conn.Close()
}

// unary gives calls a deadline, articles an id, and errors our type.
func unary(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, isSet := ctx.Deadline(); !isSet {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return asError(invoke(ctx, method, withIDs(request), response, conn, opts...))
	}
}

// withIDs returns the request, or a copy of it in which every article to be remembered has an id.
func withIDs(request any) any {
	switch request := request.(type) {
	case *newsprintv1.SubmitArticleRequest:
		if isNameless(request.GetArticle()) {
			request = proto.CloneOf(request)
			request.Article.ArticleId = rand.Text()
			return request
		}
	case *newsprintv1.BatchSubmitArticlesRequest:
		if slices.ContainsFunc(request.GetArticles(), isNameless) {
			request = proto.CloneOf(request)
			for i, article := range request.GetArticles() {
				request.Articles[i] = withID(article)
			}
			return request
		}
	}
	return request
}

func withID(article *newsprintv1.Article) *newsprintv1.Article {
	if isNameless(article) {
		article = proto.CloneOf(article)
		article.ArticleId = rand.Text()
	}
	return article
}

// isNameless leaves articles that are not there at all to the server, which tells of them.
func isNameless(article *newsprintv1.Article) bool {
	return article != nil && article.GetArticleId() == ""
}

type bearer string

func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
