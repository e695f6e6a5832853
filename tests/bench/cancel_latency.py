#!/usr/bin/env python3
"""Measures how soon reattn_request_next returns after a cancel from another thread while it reads.

    cancel_latency.py --library libreattn.so --model MODEL.gguf [--tokens N] [--cancels N]

First reads N tokens, so that cancels fall into steps as long as those of a long document; then each
time queues a further chunk in a fork, cancels at a random moment and checks that the session stands
where it was and goes on. Prints one JSON line. Needs Python's standard library alone.
"""

import argparse
import ctypes as c
import json
import random
import threading
import time

from reattn_capi import DONE, Event, Handle, Library, Model, RequestOptions

CANCELLED = 6


def cancel_once(library, session, ids, delay):
    """Seconds from the cancel to the event that ends the request; None where reading was faster."""
    fork = session.fork()
    before = fork.n_tokens()
    fork.append(ids)
    request = Handle(library, "request")
    options = library.filled("request_options_init", RequestOptions())
    library.call("request_create", fork.handle, c.byref(options), c.byref(request.handle))
    at = []

    def cancel():
        time.sleep(delay)
        at.append(time.perf_counter())
        library.call("request_cancel", request.handle)

    thread = threading.Thread(target=cancel)
    thread.start()
    event = Event(struct_size=c.sizeof(Event))
    while event.kind != DONE:
        library.call("request_next", request.handle, c.c_int64(-1), c.byref(event), None,
                     c.c_uint64(0), None)
    end = time.perf_counter()
    thread.join()
    if event.reason != CANCELLED:
        return None
    if fork.n_tokens() != before:
        raise SystemExit(f"the session has {fork.n_tokens()} tokens, {before} were committed")
    fork.append(ids[:4])
    fork.run()
    return end - at[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, default=32000)
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    library = Library(args.library)
    model = Model(library, args.model, args.threads)
    rng = random.Random(1)
    n_vocab = model.info.n_vocab
    session = model.session({"n_local": 1024, "n_anchors": 63})
    session.append([rng.randrange(n_vocab) for _ in range(args.tokens)])
    session.run()
    ids = [rng.randrange(n_vocab) for _ in range(512)]
    begin = time.perf_counter()
    fork = session.fork()
    fork.append(ids)
    fork.run()
    chunk = time.perf_counter() - begin
    times = [cancel_once(library, session, ids, rng.random() * chunk * 0.9)
             for _ in range(args.cancels)]
    times = sorted(t for t in times if t is not None)
    print(json.dumps({"tokens": args.tokens, "n_cancels": len(times), "chunk_seconds": round(chunk, 3),
                      "median_ms": round(1000 * times[len(times) // 2], 2),
                      "max_ms": round(1000 * times[-1], 2)}))


main()
