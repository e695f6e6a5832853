package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"reattn.org/reattn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := ask(ctx, "SmolLM2-135M-Instruct.Q4_1.gguf", "book.txt", "What opens the north door?"); err != nil {
		log.Fatal(err)
	}
}

func ask(ctx context.Context, modelPath, bookPath, question string) error {
	model, err := reattn.Open(ctx, modelPath, nil)
	if err != nil {
		return err
	}
	defer model.Close()
	session, err := model.NewSession(nil)
	if err != nil {
		return err
	}
	defer session.Close()
	book, err := os.Open(bookPath)
	if err != nil {
		return err
	}
	defer book.Close()
	if _, err := session.AppendReader(book); err != nil {
		return err
	}
	// Apart from the book: the question's tokens choose what is recalled.
	if err := session.Append("\n" + question + "\n"); err != nil {
		return err
	}
	answer, err := session.Generate(&reattn.RequestOptions{MaxTokens: 64})
	if err != nil {
		return err
	}
	defer answer.Close()
	for event, err := range answer.Events(ctx) { // an interrupt ends it
		if err != nil {
			return err
		}
		if event.Kind == reattn.EventPrefill {
			fmt.Fprintf(os.Stderr, "\rread %d of %d tokens", event.Done, event.Total)
		}
		fmt.Print(event.Text)
	}
	spans, err := answer.Recalled(reattn.AllLayers, reattn.Answer)
	if err != nil {
		return err
	}
	for _, span := range spans[:min(3, len(spans))] {
		text, err := session.Text(span.Begin, span.End)
		if err != nil {
			return err
		}
		fmt.Printf("\n%d votes: %q\n", span.Votes, text)
	}
	return nil
}
