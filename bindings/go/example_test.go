package reattn_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"reattn.org/reattn"
)

func ExampleModel_Tokenize() {
	model, err := reattn.Open(context.Background(), os.Getenv("REATTN_TINY_MODEL"), nil)
	if err != nil {
		panic(err)
	}
	defer model.Close()
	ids, err := model.Tokenize("naïve 😀 <|im_end|>")
	if err != nil {
		panic(err)
	}
	text, err := model.Detokenize(ids)
	fmt.Println(text, err)
	// Output: naïve 😀 <|im_end|> <nil>
}

func ExampleSession_Fork() {
	ctx := context.Background()
	model, err := reattn.Open(ctx, os.Getenv("REATTN_TINY_MODEL"), nil)
	if err != nil {
		panic(err)
	}
	defer model.Close()
	document, _ := model.NewSession(nil)
	defer document.Close()
	_ = document.Append("A long text, read once.")
	if err := document.Read(ctx, nil); err != nil {
		panic(err)
	}
	for _, question := range []string{"What is it?", "How often was it read?"} {
		asked, _ := document.Fork()
		_ = asked.Append(question)
		answer, _ := asked.Generate(&reattn.RequestOptions{MaxTokens: 8})
		text, err := answer.Text(ctx)
		fmt.Println(len(text) > 0, err)
		answer.Close()
		asked.Close()
	}
	// Output:
	// true <nil>
	// true <nil>
}

func ExampleError() {
	_, err := reattn.Open(context.Background(), "missing.gguf", nil)
	fmt.Println(errors.Is(err, reattn.ErrIO))
	// Output: true
}
