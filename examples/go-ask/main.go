// Command go-ask answers questions about a folder of text files over HTTP: README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"reattn.org/reattn"
)

func run(ctx context.Context) error {
	limits := DefaultLimits
	model := flag.String("model", "", "model: a GGUF file, or a folder with safetensors")
	folder := flag.String("folder", "", "folder of text files")
	snapshot := flag.String("snapshot", "", "file to keep what was read in, for the next run")
	address := flag.String("address", "127.0.0.1:8080", "where to listen")
	remote := flag.Bool("remote", false, "listen elsewhere than on the loopback, and answer to any host name")
	device := flag.String("device", "auto", "where to compute: auto, cpu or cuda")
	flag.Int64Var(&limits.MaxTokens, "max-tokens", limits.MaxTokens, "tokens of an answer at most")
	flag.IntVar(&limits.AtOnce, "at-once", limits.AtOnce, "questions at once")
	flag.DurationVar(&limits.Time, "time", limits.Time, "time of an answer at most")
	flag.Parse()
	if *model == "" || *folder == "" || flag.NArg() > 0 {
		flag.Usage()
		return errors.New("-model and -folder are needed, and nothing besides options")
	}
	devices := map[string]reattn.Device{"auto": reattn.DeviceAuto, "cpu": reattn.DeviceCPU, "cuda": reattn.DeviceCUDA}
	kind, ok := devices[*device]
	if !ok {
		return fmt.Errorf("-device %s: auto, cpu or cuda", *device)
	}
	if !*remote && !isLoopback(*address) {
		return fmt.Errorf("-address %s is not on the loopback: others could ask; -remote allows it", *address)
	}
	if limits.AtOnce < 1 {
		return errors.New("-at-once must be 1 or more")
	}

	opened, err := reattn.Open(ctx, *model, &reattn.ModelOptions{Device: kind})
	if err != nil {
		return err
	}
	defer opened.Close()
	library, err := OpenLibrary(ctx, opened, *folder, *snapshot)
	if err != nil {
		return err
	}
	defer library.Close()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	log.Printf("answering at http://%s/ask", listener.Addr())
	server := &http.Server{
		Handler:           NewHandler(library, limits, !*remote),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		WriteTimeout:      limits.Time + 30*time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // an interrupt ends the answers
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		brief, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- server.Shutdown(brief)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "go-ask:", err)
		os.Exit(1)
	}
}
