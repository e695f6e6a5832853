#!/usr/bin/env python3
"""Measures reading and generating beside llama.cpp: the same file, the same ids, in turns.

    npm install --prefix FOLDER --ignore-scripts node-llama-cpp
    llama_cpp.py --library libreattn.so --model MODEL.gguf --peer FOLDER [options]

Prints a JSON line for each measurement, and at the end one for each length with the medians over the
rounds and their ratios. Figures are tokens a second, of time gone by (`wall`) and of CPU time of all
threads (`cpu`): on a busy machine only the latter, with --threads 1, means anything, since llama.cpp's
threads wait for each other spinning. Needs node and Python's standard library alone.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import reattn_capi

VOCABULARY = 49152


def made_up_ids(n):
    """Those of `reattn bench`, so that both sides read the same."""
    state, ids = 1, []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % VOCABULARY)
    return ids


def ours(model, settings, length, n_decode):
    """Seconds of reading and of generating, as (wall, cpu) pairs in a dict."""
    session = model.session(settings)
    session.append(made_up_ids(length))

    def timed(action):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    read = timed(session.run)
    session.run(1, ignore_end=True)  # the first token's logits are there already
    made = []
    generated = timed(lambda: made.extend(session.run(n_decode, ignore_end=True)[0]))
    return {"prefill": read, "decode": generated, "n_decode": len(made)}


def theirs(args, length):
    script = pathlib.Path(__file__).with_name("llama_cpp_peer.mjs")
    command = ["node", script, args.peer, args.model, length, args.decode, args.threads,
               int(args.flash), args.peer_kv]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True,
                          text=True)
    return json.loads(done.stdout.splitlines()[-1])


def speeds(length, result, clock):
    return {"prefill": length / result["prefill"][clock],
            "decode": result["n_decode"] / result["decode"][clock]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--peer", required=True, help="where node-llama-cpp was installed")
    parser.add_argument("--lengths", type=lambda s: [int(n) for n in s.split(",")],
                        default=[4096, 16384, 32768])
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kv", choices=["f32", "f16", "int8"], default="int8",
                        help="ours; int8 is scored in int8")
    parser.add_argument("--vote-stride", type=int, default=1)
    parser.add_argument("--peer-kv", default="F16", help="llama.cpp's, e.g. F16 or Q8_0")
    parser.add_argument("--flash", action=argparse.BooleanOptionalAction, default=True,
                        help="llama.cpp's flash attention")
    args = parser.parse_args()

    settings = {"n_global": 32, "n_local": 1024, "n_anchors": 63, "span": 32, "top_k": 4,
                "chunk": 512, "vote_stride": args.vote_stride,
                "kv_dtype": reattn_capi.KV_TYPES[args.kv],
                "scoring": reattn_capi.SCORINGS["int8" if args.kv == "int8" else "native"]}
    model = reattn_capi.Model(reattn_capi.Library(args.library), args.model, args.threads)
    for length in args.lengths:
        rows = []
        for _ in range(args.rounds):
            pair = {"reattn": ours(model, settings, length, args.decode),
                    "llama.cpp": theirs(args, length)}
            rows.append(pair)
            print(json.dumps(dict(pair, length=length)), flush=True)
        summary = {"length": length, "threads": args.threads, "kv": args.kv,
                   "vote_stride": args.vote_stride, "peer_kv": args.peer_kv, "flash": args.flash}
        for clock in "wall", "cpu":
            for what in "prefill", "decode":
                us, them = ([speeds(length, row[side], clock)[what] for row in rows]
                            for side in ("reattn", "llama.cpp"))
                summary[f"{what}_{clock}"] = {
                    "reattn": round(statistics.median(us), 1),
                    "llama.cpp": round(statistics.median(them), 1),
                    "ratio": round(statistics.median(a / b for a, b in zip(us, them)), 2)}
        print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
