// Command outside reads a few words and says how many: outside MODEL.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"reattn.org/reattn"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: outside MODEL")
	}
	ctx := context.Background()
	model, err := reattn.Open(ctx, os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	session, err := model.NewSession(nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := session.Append("Tea and oranges"); err != nil {
		log.Fatal(err)
	}
	request, err := session.Generate(&reattn.RequestOptions{MaxTokens: 3, IgnoreEnd: true})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := request.Text(ctx); err != nil {
		log.Fatal(err)
	}
	stats, err := request.Stats()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("read %d tokens, generated %d\n", stats.PrefillTokens, stats.DecodeTokens)
}
