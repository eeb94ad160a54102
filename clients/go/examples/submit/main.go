// Submits articles to newsprint and prints what it answers: go run ./examples/submit FILE…
//
// The first line of a file is the article's title, the rest its body. The file's name is its id, so
// submitting it again is safe: the first answer is repeated. NEWSPRINT_ADDR says where the server is.
package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"path/filepath"
	"strings"

	newsprint "github.com/newsprint/newsprint/clients/go"
	"github.com/newsprint/newsprint/clients/go/newsprintv1"
)

func main() {
	log.SetFlags(0)
	client, err := newsprint.NewClient(cmp.Or(os.Getenv("NEWSPRINT_ADDR"), "localhost:50051"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	files := articles(os.Args[1:])
	for result, err := range client.SubmitStream(context.Background(), files, newsprint.StreamOptions{}) {
		switch {
		case err != nil:
			log.Fatal(err)
		case result.Err != nil:
			log.Printf("%s: %v", result.Article.GetArticleId(), result.Err)
		default:
			describe(result.Outcome)
		}
	}
}

func articles(paths []string) iter.Seq[*newsprintv1.Article] {
	return func(yield func(*newsprintv1.Article) bool) {
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				log.Print(err)
				continue
			}
			title, body, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
			article := &newsprintv1.Article{
				ArticleId: filepath.Base(path),
				Title:     title,
				Body:      strings.TrimSpace(body),
			}
			if !yield(article) {
				return
			}
		}
	}
}

func describe(outcome *newsprintv1.SubmitArticleResponse) {
	analysis := outcome.GetAnalysis()
	fmt.Printf("%s: %s\n", outcome.GetArticleId(), analysis.GetDuplicates().GetVerdict())
	for _, score := range analysis.GetClassification().GetTopics() {
		if score.GetAssigned() {
			fmt.Printf("  topic %s %.0f %%\n", score.GetTopic(), 100*score.GetProbability())
		}
	}
	for _, match := range analysis.GetDuplicates().GetMatches() {
		fmt.Printf("  like %s: %s\n", match.GetArticleId(), match.GetTitle())
	}
}
