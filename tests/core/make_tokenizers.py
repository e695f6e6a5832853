#!/usr/bin/env python3
"""Writes small tokenizers of each family, as the GGUF file and the Hugging Face folder of one model, and Python's ids.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2 gguf==0.19.0
    tests/core/make_tokenizers.py

tests/core/data/tokenizers/
  NAME.gguf             tokenizer.* keys as llama.cpp's converter writes them
  NAME_model/tokenizer.model  sentencepiece's own file, of some
  NAME/tokenizer.json   and tokenizer_config.json, generation_config.json as the family's folders have them
  ids.txt               ids of the corpus: `NAME` without special tokens, `NAME+` with them where that differs

The vocabularies are trained here, with the settings of the real ones. The ids are those of the tokenizers library with
tokenizer.json; where sentencepiece has a model of the same settings, this script checks that it says the same.
"""

import io
import json
import pathlib
import sys

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "data" / "tokenizers"
sys.path.insert(0, str(HERE.parent.parent / "tools"))
from make_text_fixtures import CORPUS as COMMON, escape  # noqa: E402

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPACE = "\u2581"

CORPUS = [t for t in COMMON if len(t) < 140] + [
    "x  y   z    w     v", "\n\n\n", "a\n\n\n\nb\n \n\nc", "  \n\n  d", "\t\t", "f(\t x )\r\n\r\n\tg",
    "12345 678901 2024\u0661\u0662\u0663\u0664 1\u00bd2 v1234b", "'S 'Ll 'RE 'Ve'D'm \u017fo it'\u017f we'LL",
    "hello_world fooBar HTTPServer $x #y @z !a", "e\u0301e\u0301 \u1100\u1161\u11a8 \u212b \ufb01 \u0958",
    "\u2581under\u2581 \u2581", "\x00", "a\x00b\x00\x00", "\U0001f409 dragon \U0001f409\x00",
    "<0x41><0x0A>", "<s>a</s>", "<s> a </s> b", "<unk> x", "a<s>b<s><s> c", "<bos><start_of_turn>user\nhi<end_of_turn>\n",
    "[INST] hi[/INST] ho</s>", "[INST]hi [/INST]  ho", "<|user|>\nhi<|end|>\n<|assistant|>\n", "<|user|>  \t\n  hi <|end|> x",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>", "<|im_start|>user\nhi<|im_end|>\n",
    "<think>\n\n</think>\n\nok", "<table> \n\n <table>", "<|eot_id|", "<end_of_turn><end_of_turn",
]  # fmt: skip


def training_lines():
    return [t for t in CORPUS if t.strip()] + pathlib.Path(__file__).read_text(encoding="utf-8").splitlines()


# Byte-level BPE ------------------------------------------------------------------------------------------------------

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated", invert=False), byte_level(False)])


def train_byte_level(pre, normalizer, special, ignore_merges, n_vocab):
    tokenizer = Tokenizer(BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(training_lines(), trainer)
    if ignore_merges:  # a word that merges alone do not make
        spec = json.loads(tokenizer.to_str())
        spec["model"]["vocab"]["\u0120unmergeable"] = n_vocab
        tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.add_tokens([AddedToken(t, special=s, normalized=False) for t, s in special])
    return tokenizer


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"]
    tokenizer = train_byte_level(split(LLAMA3), None, [(t, True) for t in special], True, 560)
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    template = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[("<|begin_of_text|>", bos)]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    config = {"bos_token": special[0], "eos_token": special[5]}
    ends = [tokenizer.token_to_id(t) for t in special if t in ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")]
    return tokenizer, config, {"eos_token_id": ends}, {"pre": "llama-bpe"}


def qwen2():
    special = [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True), ("<think>", False), ("</think>", False)]
    tokenizer = train_byte_level(split(QWEN2), normalizers.NFC(), special, False, 560)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    config = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "add_bos_token": False}
    ends = [tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>")]
    return tokenizer, config, {"eos_token_id": ends}, {"pre": "qwen2"}


def smollm():
    special = [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True)]
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)])
    tokenizer = train_byte_level(pre, None, special, False, 400)
    config = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}
    return tokenizer, config, {"eos_token_id": tokenizer.token_to_id("<|im_end|>")}, {"pre": "smollm"}


# SentencePiece -------------------------------------------------------------------------------------------------------


def train_sentence_piece(n_vocab, user_defined=(), control=(), dummy_prefix=True, ids=(0, 1, 2, -1), nul=False):
    unk, bos, eos, pad = ids
    model = io.BytesIO()
    lines = [t for t in training_lines() if all(ord(c) < 0x450 for c in t)]  # the rest falls back to bytes
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=n_vocab,
        byte_fallback=True, split_digits=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=dummy_prefix, allow_whitespace_only_pieces=True, character_coverage=0.999,
        unk_id=unk, bos_id=bos, eos_id=eos, pad_id=pad, bos_piece="<s>" if pad < 0 else "<bos>",
        eos_piece="</s>" if pad < 0 else "<eos>", user_defined_symbols=list(user_defined),
        control_symbols=list(control), minloglevel=2,
    )  # fmt: skip
    out = proto.ModelProto.FromString(model.getvalue())
    if nul:  # InternLM2 has a piece for it, which the trainer does not make
        out.pieces[-1].piece = "\0"
    return out


def merges_of(model):
    """As transformers derives them: the better token first; of one token's, the shorter left part first in the vocabulary."""
    skip = {UNKNOWN, CONTROL, BYTE, UNUSED}
    ids = {p.piece: i for i, p in enumerate(model.pieces) if p.type not in skip}
    merges = []
    for p in model.pieces:
        if p.type in skip:
            continue
        cuts = [(p.piece[:i], p.piece[i:]) for i in range(1, len(p.piece))]
        cuts = sorted((c for c in cuts if c[0] in ids and c[1] in ids), key=lambda c: (ids[c[0]], ids[c[1]]))
        merges += [(p.score, left, right) for left, right in cuts]
    merges.sort(key=lambda m: (m[0], len(m[1]), len(m[2])), reverse=True)
    return [(left, right) for _, left, right in merges]


def hugging_face(model, normalizer, pre, added):
    vocab = {p.piece: i for i, p in enumerate(model.pieces)}
    tokenizer = Tokenizer(BPE(vocab, merges_of(model), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.normalizer_spec.add_dummy_prefix:
        steps.append(decoders.Strip(content=" ", left=1))
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_tokens(added)
    return tokenizer


def special(*texts, **how):
    return [AddedToken(t, special=True, normalized=False, **how) for t in texts]


LEGACY = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
LLAMA_CONFIG = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False}


def llama2():
    model = train_sentence_piece(640)
    tokenizer = hugging_face(model, LEGACY, None, special("<unk>", "<s>", "</s>"))
    return tokenizer, LLAMA_CONFIG, {"bos_token_id": 1, "eos_token_id": 2}, {"model": model}


def mistral():
    control = ["[INST]", "[/INST]", "[TOOL_CALLS]"]
    model = train_sentence_piece(600, control=control)
    pre = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="first", split=False)
    tokenizer = hugging_face(model, None, pre, special("<unk>", "<s>", "</s>", *control))
    return tokenizer, LLAMA_CONFIG, {"bos_token_id": 1, "eos_token_id": 2}, {"model": model}


def phi3():
    model = train_sentence_piece(600)
    added = special("<unk>", "<s>") + [AddedToken("</s>", special=False, normalized=False, rstrip=True)]
    added += special("<|endoftext|>") + special("<|assistant|>", "<|system|>", "<|end|>", "<|user|>", rstrip=True)
    tokenizer = hugging_face(model, LEGACY, None, added)
    config = LLAMA_CONFIG | {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "add_bos_token": False}
    ends = [tokenizer.token_to_id(t) for t in ("<|endoftext|>", "<|assistant|>", "<|end|>")]
    return tokenizer, config, {"eos_token_id": ends}, {"model": model, "architecture": "phi3"}


def internlm2():
    model = train_sentence_piece(600, dummy_prefix=False, nul=True)
    added = special("<unk>", "<s>", "</s>", "<|im_end|>", "<|im_start|>")
    tokenizer = hugging_face(model, normalizers.Replace(" ", SPACE), None, added)
    ends = [2, tokenizer.token_to_id("<|im_end|>")]
    return tokenizer, LLAMA_CONFIG, {"eos_token_id": ends}, {"model": model, "architecture": "internlm2"}


def gemma3():
    runs = ["\n" * n for n in range(1, 4)] + [SPACE * n for n in range(2, 6)]
    model = train_sentence_piece(
        640, user_defined=["<start_of_turn>", "<end_of_turn>", *runs, "<table>"], dummy_prefix=False, ids=(3, 2, 1, 0)
    )
    pre = pre_tokenizers.Split(" ", "merged_with_previous")
    added = special("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
    added += [AddedToken(t, special=False, normalized=False) for t in [*runs, "<table>"]]
    tokenizer = hugging_face(model, normalizers.Replace(" ", SPACE), pre, added)
    config = {"bos_token": "<bos>", "eos_token": {"content": "<eos>"}, "unk_token": "<unk>", "pad_token": "<pad>",
              "add_bos_token": True, "add_eos_token": False}  # fmt: skip
    return tokenizer, config, {"eos_token_id": [1, model_id(model, "<end_of_turn>")]}, {"model": model, "architecture": "gemma3"}


def model_id(model, text):
    return next(i for i, p in enumerate(model.pieces) if p.piece == text)


FAMILIES = [llama3, qwen2, smollm, llama2, mistral, phi3, internlm2, gemma3]


# Files ---------------------------------------------------------------------------------------------------------------


def write_gguf(path, spec, config, extra):
    """As llama.cpp's converter does."""
    writer = gguf.GGUFWriter(None, extra.get("architecture", "llama"))
    vocab = {t["content"]: t["id"] for t in spec["added_tokens"]} | spec["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    types = [NORMAL] * len(tokens)
    model = extra.get("model")
    if model:
        writer.add_tokenizer_model("llama")
        types = [p.type for p in model.pieces] + [UNUSED] * (len(tokens) - len(model.pieces))
        scores = [p.score for p in model.pieces] + [-1000.0] * (len(tokens) - len(model.pieces))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(extra["pre"])
    for added in spec["added_tokens"]:
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
        if added["content"] == "<unk>":
            types[added["id"]] = UNKNOWN
    tokens = ["\U0001f409" if t == "\0" else t for t in tokens]
    if model:
        tokens = [t.replace(SPACE, " ") if k == USER_DEFINED else t for t, k in zip(tokens, types)]
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if model:
        writer.add_token_scores(scores)
        writer.add_add_space_prefix(model.normalizer_spec.add_dummy_prefix)
    else:
        writer.add_token_merges([" ".join(m) for m in spec["model"]["merges"]])
    add = {"bos_token": writer.add_bos_token_id, "eos_token": writer.add_eos_token_id,
           "unk_token": writer.add_unk_token_id, "pad_token": writer.add_pad_token_id}  # fmt: skip
    for name, token in config.items():
        if name in add and token is not None:
            add[name](vocab[token if isinstance(token, str) else token["content"]])
    if "add_bos_token" in config:
        writer.add_add_bos_token(config["add_bos_token"])
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.close()


def without_special(spec):
    """The same tokenizer, for text in which special tokens stay text."""
    byte_level = spec["decoder"]["type"] == "ByteLevel"
    keep = [t for t in spec["added_tokens"] if not (byte_level or t["special"] or t["content"] == "</s>")]
    return Tokenizer.from_str(json.dumps(spec | {"added_tokens": keep}))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    lines = {text: [] for text in CORPUS}
    for family in FAMILIES:
        name = family.__name__
        tokenizer, config, generation, extra = family()
        spec = json.loads(tokenizer.to_str())
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        config = config | {"chat_template": "{{ messages[0].content }}"}
        files = {"tokenizer": spec, "tokenizer_config": config, "generation_config": generation}
        for file, content in files.items():
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
            (folder / f"{file}.json").write_text(text + "\n", encoding="utf-8")
        write_gguf(OUT / f"{name}.gguf", spec, config, extra)
        if name in ("internlm2", "gemma3"):
            folder = OUT / f"{name}_model"
            folder.mkdir(exist_ok=True)
            (folder / "tokenizer.model").write_bytes(extra["model"].SerializeToString())
            added = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in spec["added_tokens"]}
            text = json.dumps(config | {"added_tokens_decoder": added}, ensure_ascii=False, separators=(",", ":"))
            (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
        plain = without_special(spec)
        judge = None
        if "model" in extra and name != "mistral":  # which leaves a space at the beginning alone
            judge = sentencepiece.SentencePieceProcessor(model_proto=extra["model"].SerializeToString())
        for text in lines:
            off = plain.encode(text, add_special_tokens=False).ids
            on = tokenizer.encode(text, add_special_tokens=False).ids
            # Its NUL piece cannot be reached, and Gemma's turns are user-defined there, special in the folder.
            judged = judge and "\0" not in text and "_of_turn>" not in text
            if judged and off != judge.encode(text):
                raise SystemExit(f"{name}: sentencepiece differs on {text!r}: {off} and {judge.encode(text)}")
            lines[text].append(" ".join([name, *map(str, off)]))
            if on != off:
                lines[text].append(" ".join([name + "+", *map(str, on)]))
    with open(OUT / "ids.txt", "w", encoding="utf-8", newline="\n") as f:
        for text, ids in lines.items():
            f.write("\n".join([f'text "{escape(text)}"', *ids]) + "\n")


if __name__ == "__main__":
    main()
