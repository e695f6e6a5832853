#!/usr/bin/env python3
"""Writes tests/core/data/text/templates/expected.json: what Hugging Face's apply_chat_template prints.

Needs transformers and jinja2 (transformers 5.24.0 and jinja2 3.1.6 made the committed file).
"""

import json
import pathlib

import jinja2
from transformers.utils.chat_template_utils import _normalize_chat_messages, render_jinja_template

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/core/data/text/templates"
BOS, EOS = "<|im_start|>", "<|im_end|>"  # of the tests' small vocabulary

SYSTEM = {"role": "system", "content": "You read long documents.\nAnswer shortly."}
CHAT = [
    {"role": "user", "content": "  Which colour has the north door? \n"},
    {"role": "assistant", "content": "\nIt is red.\n"},
    {"role": "user", "content": "Et l'été \"là-bas\" ? 中文 🐟 <b>&amp;</b> \\n {{ x }}"},
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The \"weather\" of a place, now; é",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "City, as in 'Paris'"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "default": None},
                "precision": {"type": "number", "default": 1e-05, "maximum": 1e16, "multipleOf": 0.5},
                "exact": {"type": "boolean", "default": False},
            },
            "required": ["place"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, number="abcdefgh1"):
    return {"type": "function", "id": number, "function": {"name": name, "arguments": arguments}}


TOOLS_USED = [
    SYSTEM,
    {"role": "user", "content": "What is the weather in Paris?"},
    {"role": "assistant", "content": None,
     "tool_calls": [call("get_weather", {"place": "Paris", "days": 2, "exact": True, "precision": 0.25})]},
    {"role": "tool", "tool_call_id": "abcdefgh1", "name": "get_weather", "content": "{\"sky\": \"grey\", \"t\": 11.5}"},
    {"role": "assistant", "content": "Grey, 11.5 °C."},
    {"role": "user", "content": "And in \"Rome\"?"},
]
TWO_CALLS = [
    {"role": "user", "content": "Paris and the time?"},
    {"role": "assistant", "content": "Let me look.",
     "tool_calls": [call("get_weather", {"place": "Paris \"north\""}), call("clock", {}, "abcdefgh2")]},
    {"role": "tool", "tool_call_id": "abcdefgh1", "content": "grey"},
    {"role": "tool", "tool_call_id": "abcdefgh2", "content": "12:00"},
]
PARTS = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " What is this? "}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A fish."}]},
    {"role": "user", "content": "And this?"},
]
THOUGHT = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "<think>\nOne and one.\n</think>\n\n2"},
    {"role": "user", "content": "And 2 + 2?"},
    {"role": "assistant", "reasoning": "Two and two.\n", "content": "4"},
]
THOUGHT_AND_CALLED = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "reasoning_content": "I should look.", "content": "",
     "tool_calls": [call("get_weather", "{\"place\": \"Paris\"}")]},
    {"role": "tool", "content": "grey"},
]
DOCUMENTS = [{"title": "the north door", "text": "It opens with \"4711\"."}, {"title": "x", "text": "y\n"}]

INPUTS = {
    "chat": CHAT,
    "system": [SYSTEM, *CHAT],
    "one": CHAT[:1],
    "empty content": [{"role": "user", "content": ""}],
    "none": [],
    "wrong order": [CHAT[1], CHAT[0]],
    "tools": {"messages": [SYSTEM, CHAT[0]], "tools": [WEATHER, CLOCK]},
    "tools without a system message": {"messages": CHAT, "tools": [WEATHER]},
    "no tools": {"messages": CHAT, "tools": []},
    "null tools": {"messages": CHAT, "tools": None},
    "tools used": {"messages": TOOLS_USED, "tools": [WEATHER]},
    "tools used, none told": TOOLS_USED,
    "two calls": {"messages": TWO_CALLS, "tools": [WEATHER, CLOCK]},
    "parts": PARTS,
    "thought": THOUGHT,
    "thought and called": {"messages": THOUGHT_AND_CALLED, "tools": [WEATHER]},
    "no thinking": {"messages": CHAT, "enable_thinking": False},
    "thinking": {"messages": CHAT, "enable_thinking": True},
    "date": {"messages": [SYSTEM, CHAT[0]], "date_string": "26 Jul 2024"},
    "date and tools": {"messages": TOOLS_USED[1:], "tools": [WEATHER], "date_string": "26 Jul 2024"},
    "date and tools apart": {"messages": TOOLS_USED, "tools": [WEATHER, CLOCK], "date_string": "26 Jul 2024",
                             "tools_in_user_message": False},
    "date and built in": {"messages": [CHAT[0], {"role": "assistant", "content": None,
                                                 "tool_calls": [call("search", {"query": "north door"})]}],
                          "builtin_tools": ["search", "interpreter"], "date_string": "26 Jul 2024"},
    "date and two calls": {"messages": TWO_CALLS, "date_string": "26 Jul 2024"},
    "date and a mapping": {"messages": [CHAT[0], {"role": "ipython", "content": [{"type": "text", "text": "é"}]}],
                           "date_string": "26 Jul 2024"},
    "documents": {"messages": [SYSTEM, *CHAT], "tools": [WEATHER, CLOCK], "documents": DOCUMENTS,
                  "extra": {"deep": [{"value": "found"}], "n": 1.0, "none": None, "text": "it's"}},
    "many": [SYSTEM, *CHAT, *CHAT[1:]],
}
PLAIN = ["chat", "system", "one", "empty content", "none"]
TOOLS = ["tools", "tools without a system message", "no tools", "null tools", "tools used", "tools used, none told",
         "two calls"]
WANTED = {
    "llama2": [*PLAIN[:-1], "wrong order"],
    "llama3": PLAIN,
    "llama3_2": [name for name in INPUTS if name.startswith("date")],
    "mistral_v0_3": [*PLAIN[:-1], "wrong order", *TOOLS],
    "internlm2_5": PLAIN,
    "qwen2": PLAIN,
    "qwen2_5": [*PLAIN[:-1], *TOOLS],
    "qwen3": [*PLAIN[:-1], *TOOLS, "parts", "thought", "thought and called", "no thinking", "thinking"],
    "phi3": PLAIN,
    "gemma3": [*PLAIN[:-1], "wrong order", "parts"],
    "smollm2": PLAIN,
    "constructs": ["none", "chat", "documents", "many", "tools used"],
}


def render(template, given, add_generation_prompt):
    given = dict(given) if isinstance(given, dict) else {"messages": given}
    messages = _normalize_chat_messages(given.pop("messages"))
    texts, _ = render_jinja_template([messages], chat_template=template, bos_token=BOS, eos_token=EOS,
                                     add_generation_prompt=add_generation_prompt, **given)
    return texts[0]


def main():
    cases = []
    for name, inputs in WANTED.items():
        template = (FOLDER / f"{name}.jinja").read_text()
        for label in inputs:
            for prompt in (False, True):
                case = {"template": name, "input": label, "add_generation_prompt": prompt}
                try:
                    case["text"] = render(template, INPUTS[label], prompt)
                except jinja2.exceptions.UndefinedError:
                    case["fails"] = True
                except jinja2.exceptions.TemplateError as error:  # of raise_exception
                    case["error"] = str(error)
                except TypeError:
                    case["fails"] = True
                cases.append(case)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    inputs = ",\n".join(f"{json.dumps(name)}: {json.dumps(given, ensure_ascii=False)}" for name, given in INPUTS.items())
    (FOLDER / "expected.json").write_text(f'{{"inputs": {{\n{inputs}\n}},\n"cases": [\n{lines}\n]}}\n')
    print(f"{len(cases)} cases of {len(WANTED)} templates")


if __name__ == "__main__":
    main()
