#!/usr/bin/env python3
"""Runs the cases of this folder against the C library itself.

conformance.py --library libreattn.so --model tiny.gguf [--write]
  --write  puts what the library gives where a step has an "expect"; without it, differences fail
What a step means: README.md. Expected failures are never written: they are what was meant.
"""

import argparse
import ctypes
import json
import pathlib
import sys
import tempfile

from capi import Failure, Library, data, i32, i64, u64

HERE = pathlib.Path(__file__).resolve().parent
HEADER = HERE.parent.parent / "capi" / "include" / "reattn" / "reattn.h"
LOGPROB_TOLERANCE = 0.01
# Two logits nearer than this might change places on another processor: no case may depend on it.
MIN_MARGIN = 0.005
ENUMS = {"device": "DEVICE_", "weights": "WEIGHTS_", "selection": "SELECTION_", "kv_dtype": "KV_",
         "scoring": "SCORING_"}


class Runner:
    def __init__(self, library, tiny, folder):
        self.c = library
        self.tiny, self.folder = tiny, folder
        self.objects = {}
        self.greedy = {}  # request -> whether its tokens must not depend on the processor
        self.penalty = {}  # request -> its repetition penalty and window, and its session

    # -- values ---------------------------------------------------------------------------------

    def constant(self, prefix, name):
        return self.c.constants[f"REATTN_{prefix}{name.upper()}"]

    def name_of(self, prefix, value):
        for name, number in self.c.constants.items():
            if name.startswith("REATTN_" + prefix) and number == value:
                return name.removeprefix("REATTN_" + prefix)
        raise ValueError(f"{prefix}: {value}")

    def fill(self, struct, options):
        for field, value in options.items():
            if isinstance(value, str):
                value = self.constant(ENUMS[field], value)
            getattr(struct, field)  # a name that the struct lacks is an error of the case
            setattr(struct, field, value)
        return struct

    def path(self, step):
        text = step["path"].replace("$tiny", str(self.tiny)).replace("$dir", str(self.folder))
        return text.encode()

    @staticmethod
    def content(step):
        if "hex" in step:
            return bytes.fromhex(step["hex"])
        if "file" in step:
            return (HERE / step["file"]).read_bytes()
        return step["text"].encode() * step.get("times", 1)

    @staticmethod
    def text_or_hex(value):
        try:
            return {"text": value.decode()}
        except UnicodeDecodeError:
            return {"hex": value.hex()}

    def of(self, step):
        return self.objects[step.get("on", "tiny")][1]

    def keep(self, step, kind, handle):
        self.objects[step["as"]] = (kind, handle)

    # -- files and models -----------------------------------------------------------------------

    def write_file(self, step):
        pathlib.Path(self.path(step).decode()).write_bytes(self.content(step))

    def flip_byte(self, step):
        path = pathlib.Path(self.path(step).decode())
        content = bytearray(path.read_bytes())
        content[step["at"]] ^= 0xFF
        path.write_bytes(content)

    def model_options(self, step):
        options = self.c.structs["reattn_model_options"]()
        self.c.call("model_options_init", ctypes.byref(options), u64(ctypes.sizeof(options)))
        return self.fill(options, {"device": "cpu", **step.get("options", {})})

    def wait(self, step, handle):
        self.keep(step, "model", handle)
        progress = self.c.struct("load_progress")
        self.c.call("model_wait", handle, i64(-1), ctypes.byref(progress))
        assert progress.finished == 1, "the wait is over, the loading not"
        return {"bytes_done": progress.bytes_done, "bytes_total": progress.bytes_total}

    def open_model(self, step):
        options = self.model_options(step)
        path = data(self.path(step))
        return self.wait(step, self.c.create("model_open", *path, ctypes.byref(options)))

    def synthesize(self, step):
        geometry = self.fill(self.c.struct("geometry"), step["geometry"])
        options = self.model_options(step)
        return self.wait(step, self.c.create("model_synthesize", ctypes.byref(geometry),
                                             ctypes.byref(options)))

    def info(self, struct, call, handle):
        out = self.c.struct(struct)
        self.c.call(call, handle, ctypes.byref(out))
        return {name: getattr(out, name) for name, _ in out._fields_}

    def model_info(self, step):
        got = self.info("model_info", "model_get_info", self.of(step))
        return {**got, **{field: self.name_of(ENUMS[field], got[field]).lower()
                          for field in ("device", "weights")}}

    def metadata(self, step):
        n = self.info("model_info", "model_get_info", self.of(step))["n_metadata"]
        for index in range(n):
            key, value = (ctypes.create_string_buffer(1 << 16) for _ in range(2))
            sizes = [u64(), u64()]
            self.c.call("model_metadata", self.of(step), i64(index), key, u64(len(key)),
                        ctypes.byref(sizes[0]), value, u64(len(value)), ctypes.byref(sizes[1]))
            if key.raw[:sizes[0].value].decode() == step["key"]:
                return {"value": value.raw[:sizes[1].value].decode()}
        return {"value": None}

    def estimate(self, step):
        plan = self.c.struct("memory_plan")
        options = self.session_options(step)
        self.c.call("model_estimate", self.of(step), ctypes.byref(options), i64(step["n_tokens"]),
                    ctypes.byref(plan))
        return {"fits": plan.fits, "weights_bytes": plan.weights_bytes, "kv_bytes": plan.kv_bytes}

    # -- text -----------------------------------------------------------------------------------

    def tokenize(self, step):
        ids = self.c.output(i32, "text_tokenize", self.of(step), *data(self.content(step)),
                            i32(step.get("special", False)))
        return {"ids": list(ids)}

    def detokenize(self, step):
        ids = (i32 * len(step["ids"]))(*step["ids"])
        text = self.c.output(ctypes.c_uint8, "text_detokenize", self.of(step), ids, u64(len(ids)))
        return self.text_or_hex(bytes(text))

    @staticmethod
    def messages(step):
        if "json" in step:
            return step["json"].encode()
        return json.dumps(step["messages"], ensure_ascii=False).encode()

    def render_chat(self, step):
        text = self.c.output(ctypes.c_uint8, "chat_render", self.of(step),
                             *data(self.messages(step)), i32(step["add_generation_prompt"]))
        return {"text": bytes(text).decode()}

    def tokenize_chat(self, step):
        ids = self.c.output(i32, "chat_tokenize", self.of(step), *data(self.messages(step)),
                            i32(step["add_generation_prompt"]))
        return {"ids": list(ids)}

    # -- sessions -------------------------------------------------------------------------------

    def session_options(self, step):
        options = self.c.structs["reattn_session_options"]()
        snapshot = self.objects[step["from"]][1] if "from" in step else None
        self.c.call("session_options_init", self.of(step), snapshot, ctypes.byref(options),
                    u64(ctypes.sizeof(options)))
        if "from" not in step and not step.get("defaults", False):
            self.fill(options, json.loads((HERE / "settings.json").read_text()))
        return self.fill(options, step.get("options", {}))

    def default_options(self, step):
        options = self.session_options({**step, "defaults": True})
        got = {name: getattr(options, name) for name, _ in options._fields_}
        for field in ("selection", "kv_dtype", "scoring"):
            got[field] = self.name_of(ENUMS[field], got[field]).lower()
        return got

    def new_session(self, step):
        snapshot = self.objects[step["from"]][1] if "from" in step else None
        options = self.session_options(step)
        self.keep(step, "session", self.c.create("session_create", self.of(step), snapshot,
                                                 ctypes.byref(options)))

    def append(self, step):
        flags = sum(self.constant("APPEND_", flag) for flag in step.get("flags", []))
        if "ids" in step:
            ids = (i32 * len(step["ids"]))(*step["ids"])
            self.c.call("session_append_ids", self.of(step), ids, u64(len(ids)), i32(flags))
        else:
            self.c.call("session_append_text", self.of(step), *data(self.content(step)), i32(flags))

    def session_info(self, step):
        return self.info("session_info", "session_get_info", self.of(step))

    def range(self, kind, name, step):
        return self.c.output(kind, name, self.of(step), i64(step["begin"]), i64(step["end"]))

    def tokens(self, step):
        return {"ids": list(self.range(i32, "session_tokens", step))}

    def text(self, step):
        return self.text_or_hex(bytes(self.range(ctypes.c_uint8, "session_text", step)))

    def logprobs(self, step):
        values = self.range(ctypes.c_float, "session_logprobs", step)
        return {"logprobs": [None if x != x else round(x, 4) for x in values]}

    def truncate(self, step):
        self.c.call("session_truncate", self.of(step), i64(step["n_tokens"]))

    def fork(self, step):
        self.keep(step, "session", self.c.create("session_fork", self.of(step)))

    # -- snapshots ------------------------------------------------------------------------------

    def snapshot(self, step):
        self.keep(step, "cache", self.c.create("cache_snapshot", self.of(step)))

    def save(self, step):
        self.c.call("cache_save", self.of(step), *data(self.path(step)))

    def open_snapshot(self, step):
        self.keep(step, "cache", self.c.create("cache_open", self.of(step), *data(self.path(step))))

    def snapshot_info(self, step):
        return self.info("cache_info", "cache_get_info", self.of(step))

    # -- requests -------------------------------------------------------------------------------

    def request(self, step):
        options = self.c.structs["reattn_request_options"]()
        self.c.call("request_options_init", ctypes.byref(options), u64(ctypes.sizeof(options)))
        self.fill(options, {"ignore_end": 1, **step.get("options", {})})
        handle = self.c.create("request_create", self.of(step), ctypes.byref(options))
        for stop in step.get("stops", []):
            self.c.call("request_add_stop", handle, *data(stop.encode()))
        if "json_schema" in step:
            schema = json.dumps(step["json_schema"])
            self.c.call("request_set_json_schema", handle, *data(schema.encode()))
        self.keep(step, "request", handle)
        self.greedy[step["as"]] = options.temperature == 0 and "json_schema" not in step
        self.penalty[step["as"]] = (options.repetition_penalty, options.repetition_window,
                                    self.of(step))

    def pull(self, name, handle, *out):
        event, buf = self.c.struct("event"), ctypes.create_string_buffer(4096)
        status = self.c.call(name, handle, i64(-1), *out, ctypes.byref(event), buf, u64(4096),
                             None)
        return None if status == 1 else (event, buf.raw[:event.text_bytes].decode())

    def event(self, pulled):
        if pulled is None:
            return {"kind": "END"}
        event, text = pulled
        reason = self.name_of("DONE_", event.reason) if event.reason else None
        return {"kind": self.name_of("EVENT_", event.kind), "n_done": event.n_done,
                "n_total": event.n_total, "token": event.token, "text": text, "reason": reason}

    def next(self, step):
        return self.event(self.pull("request_next", self.of(step)))

    @staticmethod
    def collect(answer, event):
        if event["kind"] == "TEXT":
            answer["tokens"].append(event["token"])
        elif event["kind"] == "DONE":
            answer.update(reason=event["reason"], n_read=event["n_done"])
        if event["kind"] != "PREFILL":
            answer["pieces"].append(event["text"])
        answer["text"] += event["text"]

    def margin(self, name):
        """How far the best logit is above the second, while nothing needs it: endless."""
        values = list(self.c.output(ctypes.c_float, "request_logits", self.objects[name][1]))
        penalty, window, session = self.penalty[name]
        if penalty != 1:
            n = self.info("session_info", "session_get_info", session)["n_tokens"]
            begin = max(n - window, 0) if window else 0
            for i in set(self.c.output(i32, "session_tokens", session, i64(begin), i64(n))):
                values[i] = values[i] / penalty if values[i] > 0 else values[i] * penalty
        values.sort()
        return values[-1] - values[-2]

    def drain(self, step):
        answer = {"tokens": [], "text": "", "pieces": []}
        while (pulled := self.pull("request_next", self.of(step))) is not None:
            event = self.event(pulled)
            self.collect(answer, event)
            more = event["kind"] == "TEXT" or event["n_done"] == event["n_total"]
            if self.greedy[step["on"]] and event["kind"] != "DONE" and more:
                margin = self.margin(step["on"])
                assert margin > MIN_MARGIN, f"two tokens are {margin} apart: choose another text"
        return answer

    def cancel(self, step):
        self.c.call("request_cancel", self.of(step))

    def add_stop(self, step):
        self.c.call("request_add_stop", self.of(step), *data(self.content(step)))

    def set_json_schema(self, step):
        self.c.call("request_set_json_schema", self.of(step), *data(self.content(step)))

    def recalled(self, step):
        layer = -1 if step["layer"] == "all" else step["layer"]
        scope = self.constant("RECALLED_", step["scope"])
        spans = self.c.output(self.c.structs["reattn_span"], "request_recalled", self.of(step),
                              i64(layer), i32(scope))
        return {"spans": [[span.begin, span.end, span.votes] for span in spans]}

    def logits(self, step):
        values = list(self.c.output(ctypes.c_float, "request_logits", self.of(step)))
        return {"n": len(values), "best": values.index(max(values))}

    def stats(self, step):
        return self.info("request_stats", "request_get_stats", self.of(step))

    # -- queues ---------------------------------------------------------------------------------

    def new_queue(self, step):
        self.keep(step, "queue", self.c.create("queue_create", self.of(step)))

    def queue_add(self, step):
        self.c.call("queue_add", self.of(step), self.objects[step["request"]][1], u64(step["tag"]))

    def queue_drain(self, step):
        answers, tag = {}, u64()
        while (pulled := self.pull("queue_next", self.of(step), ctypes.byref(tag))) is not None:
            answer = answers.setdefault(str(tag.value), {"tokens": [], "text": "", "pieces": []})
            self.collect(answer, self.event(pulled))
        return {"answers": {tag: answers[tag] for tag in sorted(answers)}}

    def close(self, step):
        self.c.free(*self.objects[step["on"]])


def pick(pattern, got):
    """The part of `got` that the pattern's keys ask for."""
    if isinstance(pattern, dict) and isinstance(got, dict):
        missing = pattern.keys() - got.keys()
        assert not missing, f"nothing gives {sorted(missing)}"
        return {key: pick(pattern[key], got[key]) for key in pattern}
    return got


def same(expected, got):
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(expected, float) and isinstance(got, float):
        return abs(expected - got) < LOGPROB_TOLERANCE
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(expected[k], got[k]) for k in expected)
    return expected == got


def run_step(runner, step, write):
    got, failure = None, None
    try:
        got = getattr(runner, step["do"])(step)
    except Failure as caught:
        failure = caught
    if "fails" in step:
        if failure is None:
            return "it did not fail"
        codes = step["fails"]["code"]
        known = failure.code in (codes if isinstance(codes, list) else [codes])
        said = all(part in failure.message for part in step["fails"].get("says", []))
        return None if known and said else f"failed with {failure}"
    if failure is not None:
        return f"failed with {failure}"
    if "expect" in step:
        got = pick(step["expect"], got)
        if write:
            step["expect"] = got
        elif not same(step["expect"], got):
            return f"gave {json.dumps(got, ensure_ascii=False)}"
    return None


def run_case(library, tiny, case, write):
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(library, tiny, folder)
        runner.open_model({"path": "$tiny", "as": "tiny"})
        try:
            for number, step in enumerate(case["steps"]):
                try:
                    problem = run_step(runner, step, write)
                except AssertionError as wrong:
                    problem = str(wrong)
                if problem:
                    return f"step {number} ({step['do']}): {problem}"
        finally:
            for kind, handle in runner.objects.values():
                library.free(kind, handle)
    return None


def dumped(value, indent, width=100):
    """JSON as people write it: what fits into a line is one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= width or not isinstance(value, (dict, list)):
        return line
    pad = " " * (indent + 2)
    if isinstance(value, list):
        if all(isinstance(x, (int, float, str)) or x is None for x in value):
            return line
        if all(isinstance(x, list) for x in value):
            texts = [json.dumps(x) for x in value]
            rows = [", ".join(texts[i:i + 5]) for i in range(0, len(texts), 5)]
            return "[" + (",\n" + pad).join(rows) + "]"
        return "[\n" + ",\n".join(pad + dumped(x, indent + 2) for x in value) + \
            "\n" + " " * indent + "]"
    parts, row = [], ""
    for key, item in value.items():
        part = json.dumps(key, ensure_ascii=False) + ": " + dumped(item, indent + 2)
        if row and len(row) + len(part) + indent + 4 <= width and "\n" not in part:
            row += ", " + part
        else:
            if row:
                parts.append(row)
            row = part
    parts.append(row)
    return "{" + (",\n" + " " * (indent + 1)).join(parts) + "}"


def write_cases(path, content):
    cases = []
    for case in content["cases"]:
        steps = ",\n      ".join(dumped(step, 6) for step in case["steps"])
        cases.append(f'    {{"name": {json.dumps(case["name"])}, "steps": [\n      {steps}\n    ]}}')
    about = json.dumps(content["about"], ensure_ascii=False)
    path.write_text(f'{{\n  "about": {about},\n  "cases": [\n' + ",\n".join(cases) + "\n  ]\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    library = Library(arguments.library.resolve(), HEADER)
    n_run, problems = 0, []
    for path in sorted((HERE / "cases").glob("*.json")):
        content = json.loads(path.read_text())
        for case in content["cases"]:
            problem = run_case(library, arguments.model.resolve(), case, arguments.write)
            n_run += 1
            if problem:
                problems.append(f"{path.name}: {case['name']}: {problem}")
        if arguments.write:
            write_cases(path, content)
    print("\n".join(problems) if problems else f"{n_run} cases")
    return 1 if problems or n_run == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
