#!/usr/bin/env python3
"""Writes the tokenizer tests' data with Hugging Face tokenizers as the judge.

    tools/make_text_fixtures.py [--model MODEL.gguf]

tests/core/data/text/
  small_vocab.txt    a byte-level BPE of a few hundred tokens, trained here on the corpus
  small_ids.txt      ids of the corpus with it
  smollm2_ids.txt    ids of the corpus with the vocabulary of --model, where given

Needs `tokenizers`, and `gguf` for --model.
"""

import argparse
import json
import pathlib

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "core" / "data" / "text"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_end|>x", "<tool>"]
USER_DEFINED = {"<tool>"}

CORPUS = [
    "",
    " ",
    "a",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog. The dog sleeps on; the fox doesn't.",
    "In the beginning God created the heaven and the earth.\nAnd the earth was without form.",
    "I'll we've they're it's don't I'm he'd 'tis 'S 'LL o'clock rock'n'roll ''s '",
    "0 1 12 123 1234567890 3.14159 1,000,000 -42 0x1F v1.2.3 2024-11-24T02:20:00Z",
    "x1y22z333 a1 1a  12  3   4\n5\t6",
    "٠١٢٣٤ ۱۲۳ १२३ ½ ¾ Ⅷ ² ① 十二",
    "  leading", "trailing  ", "two  spaces", "three   spaces   each", "a \n b \n\n c\n\n\n",
    "\n", "\n\n", " \n", "\n ", "\t\t\tx", "a\tb\t\tc", "line\r\nline\r\n\r\nend\r",
    " " * 17 + "x" + " " * 64, "\n" * 33 + "y", "\t \t \n \r\n x",
    "\u00a0nbsp\u00a0\u00a0two\u2003em\u2003\u3000wide \u200bzero\u200b \ufeffbom \u0085nel\u2028ls",
    "naïve café Ünïcödé ÆØÅ straße œuvre Łódź İstanbul ǅ ʼn ﬁ",
    "e\u0301 a\u0308\u0301 cafe\u0301 n\u0303 \u0301alone",
    "Привет, мир! Ещё раз — «кавычки» и тире…", "Γειά σου Κόσμε", "Здраво свете 123",
    "你好,世界。這是一個測試。漢字かな交じり文、テスト!한국어 문장입니다.",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣", "שלום עולם ־ נִקּוּד", "नमस्ते दुनिया क्षत्रिय", "สวัสดีชาวโลก",
    "😀 😃😄 🎉party🎉 👍🏽 👩‍👩‍👧‍👦 👩🏾‍🚀 🏳️‍🌈 🇫🇷🇩🇪 ❤️ ✊🏿 1️⃣",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𠀀𠮷 \U0001f9ff \U0010ffff \ue000",
    "control \x00\x01\x04\x06\x13\x14\x16\x1d\x1b[31m\x7f\x80\x9f end",
    "def f(x):\n    if x > 0:\n        return x ** 2  # square\n\treturn -x\n",
    "int main(void) {\r\n\tprintf(\"%d\\n\", 42);\r\n\treturn 0;\r\n}\r\n",
    "SELECT * FROM t WHERE a='b' AND c<>\"d\"; -- comment",
    "<html><body class=\"x\">&amp;</body></html>", "{\"key\": [1, 2, {\"nested\": null}]}",
    "https://example.com/a/b?c=d&e=f#g user@example.com C:\\path\\to /usr/bin:/bin",
    "!!! ... ??? --- === *** ### $$$ %%% ^^^ ~~~ ``` ||| \\\\\\ @@@ &&& ((( )))",
    "a!b?c.d,e;f:g(h)i[j]k{l}m", " !x ?y .z", "“quotes” ‘single’ – — … • § ¶ † ™ © ®",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "a" * 300, "ab" * 150, "x" * 63 + " " + "x" * 64 + " " + "x" * 65, "=" * 80, "-" * 81, "汉" * 70,
    "the the the the the the the the the the the the the the the the",
    "<|im_start|>user\nhi<|im_end|>\n", "<|im_end|>", "<|im_end|>x", "<|im_end|><|im_end|>x<|im_end|>",
    "a<|im_end|>b", " <|im_end|> ", "<|im_end", "<|im_end|", "<|<|im_end|>|>", "im_end|>",
    "x <tool>call</tool> y", "<|endoftext|>The end.<|endoftext|>", "1<|im_start|>2",
]  # fmt: skip


def escape(text):
    """One line of printable text; the tests undo \\\\ and \\u{hex}."""
    return "".join(
        c if c == " " or (c.isprintable() and c != "\\") else "\\\\" if c == "\\" else f"\\u{{{ord(c):x}}}"
        for c in text
    )


def pre_tokenizer(pre):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    if pre != "smollm":
        return byte_level
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])


def build(tokens, merges, special, pre):
    tokenizer = Tokenizer(BPE({t: i for i, t in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]))
    tokenizer.pre_tokenizer = pre_tokenizer(pre)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return tokenizer


def train():
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizer("smollm")
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=SPECIAL,
        show_progress=False,
    )
    lines = pathlib.Path(__file__).read_text(encoding="utf-8").splitlines(keepends=True)
    tokenizer.train_from_iterator(CORPUS + lines, trainer)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [t for t, _ in tokens], [m if isinstance(m, str) else " ".join(m) for m in merges]


def write_ids(path, tokens, merges, special):
    kinds = {
        "smollm": build(tokens, merges, [], "smollm"),
        "smollm_special": build(tokens, merges, special, "smollm"),
        "gpt-2": build(tokens, merges, [], "gpt-2"),
    }
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        for text in CORPUS:
            f.write(f'text "{escape(text)}"\n')
            for name, tokenizer in kinds.items():
                ids = tokenizer.encode(text, add_special_tokens=False).ids
                f.write(" ".join([name, *map(str, ids)]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="GGUF file of SmolLM2-135M-Instruct")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)

    tokens, merges = train()
    with open(OUT / "small_vocab.txt", "w", encoding="utf-8", newline="\n") as f:
        for token in tokens:
            kind = 4 if token in USER_DEFINED else 3 if token in SPECIAL else 1
            f.write(f"token {kind} {token}\n")
        for merge in merges:
            f.write(f"merge {merge}\n")
    write_ids(OUT / "small_ids.txt", tokens, merges, SPECIAL)

    if args.model:
        from gguf import GGUFReader

        fields = GGUFReader(args.model).fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        types = fields["tokenizer.ggml.token_type"].contents()
        merges = fields["tokenizer.ggml.merges"].contents()
        special = [t for t, kind in zip(tokens, types) if kind in (3, 4)]
        write_ids(OUT / "smollm2_ids.txt", tokens, merges, special)


if __name__ == "__main__":
    main()
