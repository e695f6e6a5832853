#!/usr/bin/env python3
"""Measures how well facts planted in long documents are found again, with and without recall.

    planted_facts.py --library libreattn.so --model MODEL.gguf --text TEXT [options]

Reads each document once and forks one session for each question: the question is an append of its
own, and so is each token of the answer, as if it had been generated. Prints JSON lines: one for
each document read, one for each question, and at the end one for each row with the mean negative
log-likelihood of the answers (`nll`, nats per token), its standard error, and how many answers came
out right when generated greedily (`exact`). Needs Python's standard library alone.

Rows (of a model whose window is 8,192):
  full           full attention inside the window, --full-tokens
  recalled       n_local 1,024, 63 anchors of 32 tokens, exact
  stride4        the same, every 4th token votes
  block1         the same, at most one position of each 128
  paper_8k       the published settings: n_local 4,096, 127 anchors
  nothing        n_anchors 0, while reading and while asking
  nothing_asked  read as `recalled`, asked with n_anchors 0
"""

import argparse
import functools
import json
import math
import time

import documents
import reattn_capi

RECALLED = {"n_global": 32, "n_local": 1024, "n_anchors": 63, "span": 32, "top_k": 4, "chunk": 512,
            "vote_stride": 1, "selection": reattn_capi.SELECTIONS["exact"]}

# row -> (settings the document is read with, changes for the questions)
ROWS = {
    "full": (dict(RECALLED, selection=reattn_capi.SELECTIONS["full"]), {}),
    "recalled": (RECALLED, {}),
    "stride4": (dict(RECALLED, vote_stride=4), {}),
    "block1": (dict(RECALLED, selection=reattn_capi.SELECTIONS["block1"]), {}),
    "paper_8k": (dict(RECALLED, n_local=4096, n_anchors=127), {}),
    "nothing": (dict(RECALLED, n_anchors=0), {}),
    "nothing_asked": (RECALLED, {"n_anchors": 0}),
}


def one_of(values):
    """A parser of a name, giving its value."""
    def parse(name):
        if name not in values:
            raise argparse.ArgumentTypeError(f"{name!r}: not one of {', '.join(values)}")
        return values[name]
    return parse


def parse_settings(text):
    """"n_local=512,span=16" as a dict of the settings it names."""
    settings = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in RECALLED or not value:
            raise argparse.ArgumentTypeError(f"{part!r}: not one of {', '.join(RECALLED)}")
        settings[name] = (reattn_capi.SELECTIONS[value] if name == "selection" else int(value))
    return settings


def parse_custom_row(text):
    """"NAME:READ:ASK", each a list of settings, as (NAME, (READ over `recalled`, ASK))."""
    name, read, ask = (text.split(":") + ["", ""])[:3]
    return name, (dict(RECALLED, **parse_settings(read)), parse_settings(ask))


def ask(session, ids, answer, fact, extra_tokens):
    """Forks the session for one question. Returns its result."""
    scored = session.fork()
    scored.append(ids)
    scored.run()
    generating = scored.fork()
    for token in answer:
        scored.append([token], reattn_capi.LOGPROBS)
    scored.run()
    end = scored.n_tokens()
    logprobs = scored.logprobs(end - len(answer), end)
    _, text = generating.run(max_tokens=len(answer) + extra_tokens)
    line = text.strip().split("\n")[0]
    return {"nll": -sum(logprobs) / len(answer), "n_answer_tokens": len(answer),
            "exact": fact.answer.lower() in line.lower(), "generated": line}


class Measurement:
    def __init__(self, args, model, lines):
        self.args, self.model, self.lines = args, model, lines
        self.askings = [documents.Asking(model, style) for style in args.asking]
        self.tokenize = functools.cache(model.tokenize)  # a long document repeats the text
        self.rows = {name: ROWS[name] for name in args.rows}
        self.rows.update(dict(args.custom_row))
        self.records = []

    def record(self, **fields):
        self.records.append(fields)
        print(json.dumps(fields), flush=True)

    def n_tokens(self, settings):
        full = settings["selection"] == reattn_capi.SELECTIONS["full"]
        return self.args.full_tokens if full else self.args.tokens

    def document(self, index, n_tokens, opening):
        """The same facts and the same first line for every length."""
        rng = documents.generator(self.args.seed, index)
        start_line = rng.randrange(len(self.lines))
        facts = [(kind, fact) for kind in self.args.facts
                 for fact in documents.KINDS[kind](self.args.seed, index, self.args.questions)]
        rng.shuffle(facts)
        positions = documents.place(n_tokens, len(facts), rng)
        ids, begins = documents.make_document(
            self.tokenize, self.lines, [fact for _, fact in facts], n_tokens, start_line,
            positions, opening)
        return ids, [(kind, fact, begin) for (kind, fact), begin in zip(facts, begins)]

    def run(self):
        first = self.args.first_document
        for index in range(first, first + self.args.documents):
            reads = {}  # what is read alike is read once
            for name, (settings, _) in self.rows.items():
                for asking in self.askings:
                    key = (tuple(sorted(settings.items())), tuple(asking.opening))
                    reads.setdefault(key, []).append((name, asking))
            for (settings, opening), asked in reads.items():
                self.read_and_ask(index, dict(settings), opening, asked)

    def read_and_ask(self, index, settings, opening, asked):
        ids, facts = self.document(index, self.n_tokens(settings), opening)
        held = {"kv_dtype": self.args.kv, "scoring": self.args.scoring}
        session = self.model.session(dict(settings, **held))
        session.append(ids)
        begin = time.monotonic()
        session.run()
        seconds = time.monotonic() - begin
        cache = session.snapshot()
        for name, asking in asked:
            changed = self.rows[name][1]
            self.record(read=name, asking=asking.style, document=index, tokens=len(ids),
                        seconds=round(seconds, 2), settings=settings, changed_to_ask=changed,
                        seed=self.args.seed)
            source = self.model.session(changed, cache) if changed else session
            for number, (kind, fact, position) in enumerate(facts):
                begin = time.monotonic()
                result = ask(source, *asking.question(fact), fact, 8 if kind == "natural" else 0)
                self.record(row=name, facts=kind, asking=asking.style, document=index,
                            question=number, before=fact.before, answer=fact.answer,
                            depth=round(position / len(ids), 4), **result,
                            seconds=round(time.monotonic() - begin, 3))


def summaries(records):
    """One line for each row, kind of facts and way to ask."""
    for name, kind, style in dict.fromkeys(
            (r["row"], r["facts"], r["asking"]) for r in records if "row" in r):
        results = [r for r in records if r.get("row") == name and r["facts"] == kind
                   and r["asking"] == style]
        reads = [r for r in records if r.get("read") == name and r["asking"] == style]
        nll = [result["nll"] for result in results]
        n, mean = len(nll), sum(nll) / len(nll)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in nll) / max(1, n - 1))
        tokens, seconds = (sum(r[field] for r in reads) for field in ("tokens", "seconds"))
        yield {"mean_of": name, "facts": kind, "asking": style, "nll": round(mean, 4),
               "standard_error": round(deviation / math.sqrt(n), 4),
               "exact": sum(result["exact"] for result in results), "n_questions": n,
               "n_documents": len(reads), "tokens": reads[0]["tokens"],
               "seeds": sorted({r["seed"] for r in reads}), "settings": reads[0]["settings"],
               "changed_to_ask": reads[0]["changed_to_ask"], "read_seconds": round(seconds, 2),
               "read_tokens_per_second": round(tokens / seconds, 1),
               "seconds_per_question": round(sum(r["seconds"] for r in results) / n, 3)}


def names_of(known):
    """A parser of comma-separated names that are among the known ones."""
    def parse(text):
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r}: not one of {', '.join(known)}")
        return names
    return parse


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", help="libreattn.so")
    parser.add_argument("--model", help="GGUF file or folder")
    parser.add_argument("--text",
                        help="text that documents are cut from; verse marks are taken out")
    parser.add_argument("--summarise", nargs="+", metavar="FILE",
                        help="measure nothing: the means over what earlier runs printed")
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--first-document", type=int, default=0,
                        help="index of the first one, to share the work among processes")
    parser.add_argument("--questions", type=int, default=16,
                        help="facts of each kind in a document")
    parser.add_argument("--tokens", type=int, default=32000, help="length of a document")
    parser.add_argument("--full-tokens", type=int, default=7900,
                        help="length of a document for full attention")
    parser.add_argument("--rows", type=names_of(ROWS), default=list(ROWS),
                        help="comma-separated; may be empty beside --custom-row")
    parser.add_argument("--custom-row", type=parse_custom_row, action="append", default=[],
                        metavar="NAME:READ:ASK", help="another row: settings such as "
                        "n_local=512,span=16 over those of `recalled`, for reading and asking")
    parser.add_argument("--facts", type=names_of(documents.KINDS), default=["pair"],
                        help="kinds of facts, all in each document: " + ", ".join(documents.KINDS))
    parser.add_argument("--asking", type=names_of(documents.Asking.STYLES), default=["cont"],
                        help="ways to ask, each used for every fact: "
                        + ", ".join(documents.Asking.STYLES))
    parser.add_argument("--kv", type=one_of(reattn_capi.KV_TYPES), default="f32",
                        help=", ".join(reattn_capi.KV_TYPES))
    parser.add_argument("--scoring", type=one_of(reattn_capi.SCORINGS),
                        default="native", help=" or ".join(reattn_capi.SCORINGS))
    parser.add_argument("--weights", type=one_of(reattn_capi.WEIGHTS), default="auto",
                        help=" or ".join(reattn_capi.WEIGHTS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", choices=reattn_capi.DEVICES, default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not args.summarise and not (args.library and args.model and args.text):
        parser.error("--library, --model and --text are needed to measure")
    return args


def main():
    args = parse_args()
    if args.summarise:
        records = []
        for name in args.summarise:
            with open(name, encoding="utf-8") as file:
                records += map(json.loads, file)
    else:
        model = reattn_capi.Model(reattn_capi.Library(args.library), args.model, args.threads,
                                  args.device, args.weights)
        with open(args.text, encoding="utf-8") as text:
            measurement = Measurement(args, model, documents.text_lines(text.read()))
        measurement.run()
        records = measurement.records
    for summary in summaries(records):
        print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
