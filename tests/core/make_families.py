#!/usr/bin/env python3
"""Writes tiny random models of each family as GGUF files and as the folders that the transformers library saves, with what that
library computes with them.

    pip install torch==2.6.0 transformers==4.57.1 gguf==0.19.0
    tests/core/make_families.py tests/core/data/families [FAMILY...]

Weights are rounded to what both F16 and BF16 hold before the library sees them; it computes in float32, with full attention. The
GGUF files' keys test.* hold a prompt, the logits after its first 24 and all of its 150 tokens, and the 64 tokens that greedy decoding
goes on with after 24.
"""
import copy
import pathlib
import shutil
import sys

import gguf
import numpy
import torch
import transformers

SHORT, LONG, GREEDY = 24, 150, 64
N_VOCAB = 64
SIZES = dict(vocab_size=N_VOCAB, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False,
             pad_token_id=None, bos_token_id=None, eos_token_id=None)


def llama3():
    scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=32)
    return transformers.LlamaConfig(**SIZES, rope_theta=500.0, rope_scaling=scaling)


def qwen3():
    sizes = SIZES | dict(head_dim=16, tie_word_embeddings=True)
    return transformers.Qwen3Config(**sizes, rope_theta=1e6)


def gemma3():
    sizes = SIZES | dict(hidden_size=16, intermediate_size=32, num_hidden_layers=6, num_attention_heads=2,
                         num_key_value_heads=1)  # untied, against its habit: else each token asks for itself again
    return transformers.Gemma3TextConfig(**sizes, head_dim=16, query_pre_attn_scalar=16, sliding_window=20,
                                         rope_theta=1e6, rope_local_base_freq=1e4)


# File and folder, architecture in GGUF, configuration, type in the folder.
FAMILIES = {
    "llama2": ("llama", lambda: transformers.LlamaConfig(**SIZES), "float16"),
    "llama3": ("llama", llama3, "bfloat16"),
    "mistral": ("llama", lambda: transformers.MistralConfig(**SIZES, rope_theta=1e6, sliding_window=None), "bfloat16"),
    "qwen2": ("qwen2", lambda: transformers.Qwen2Config(**SIZES, rope_theta=1e6), "bfloat16"),
    "qwen3": ("qwen3", qwen3, "float16"),
    "phi3": ("phi3", lambda: transformers.Phi3Config(**SIZES), "bfloat16"),
    "gemma3": ("gemma3", gemma3, "bfloat16"),
}
SHARDED = {"qwen3": "16KB"}  # the most bytes of a file
# Of llama.cpp's converter, as far as these models have them.
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
GEMMA_NAMES = NAMES | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def randomize(model):
    """Far enough from the library's start for attention and logits not to be flat."""
    for name, p in model.named_parameters():
        if "norm" in name:
            values = torch.randn(p.shape) * 0.2
            if "Gemma" not in type(model).__name__:
                values += 1
        elif p.dim() == 1:
            values = torch.randn(p.shape) * 0.5
        else:
            values = torch.randn(p.shape) * 2 / p.shape[1] ** 0.5
        p.data.copy_(values.bfloat16().half().float())


def permute(weight, n_heads):
    """Rows of each head from halves to interleaved pairs."""
    heads = weight.reshape(n_heads, 2, -1, weight.shape[1])
    return heads.swapaxes(1, 2).reshape(weight.shape)


def tensors(model, architecture):
    config = model.config
    names = GEMMA_NAMES if architecture == "gemma3" else NAMES
    for name, p in model.named_parameters():
        values = p.detach().numpy()
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            part, kind = rest.rsplit(".", 1)
            to = f"blk.{layer}.{names[part]}.{kind}"
            if architecture == "llama" and names[part] == "attn_q":
                values = permute(values, config.num_attention_heads)
            if architecture == "llama" and names[part] == "attn_k":
                values = permute(values, config.num_key_value_heads)
        else:
            to = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                  "lm_head.weight": "output.weight"}[name]
        if values.ndim == 1:
            yield to, (values + 1 if architecture == "gemma3" else values)
        else:
            yield to, values.astype(numpy.float16)
    if getattr(config, "rope_scaling", None):
        dim = config.hidden_size // config.num_attention_heads
        plain = config.rope_theta ** -(torch.arange(0, dim, 2).float() / dim)
        yield "rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy()


def write(path, architecture, model, golden):
    c = model.config
    w = gguf.GGUFWriter(str(path), architecture)
    w.add_name(path.stem)
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(c.rope_theta)
    w.add_vocab_size(c.vocab_size)
    if getattr(c, "head_dim", None):
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)
    if architecture == "gemma3":
        w.add_sliding_window(c.sliding_window)
    for key, values in golden.items():
        w.add_array("test." + key, values)
    for name, values in tensors(model, architecture):
        w.add_tensor(name, values)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def save(folder, model, dtype, shard_size):
    shutil.rmtree(folder, ignore_errors=True)
    copy.deepcopy(model).to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard_size)
    (folder / "generation_config.json").unlink()  # says nothing of these


@torch.no_grad()
def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or FAMILIES:
        architecture, make_config, dtype = FAMILIES[name]
        for seed in range(1, 100):
            torch.manual_seed(seed)
            config = make_config()
            config._attn_implementation = "eager"
            model = transformers.AutoModelForCausalLM.from_config(config, torch_dtype=torch.float32).eval()
            randomize(model)
            prompt = torch.randint(N_VOCAB, (LONG,)).tolist()
            logits = lambda ids: model(torch.tensor([ids]), use_cache=False).logits[0, -1]
            greedy, least = [], float("inf")
            for _ in range(GREEDY):
                best = logits(prompt[:SHORT] + greedy).topk(2)
                least = min(least, (best.values[0] - best.values[1]).item())
                greedy.append(best.indices[0].item())
            if least > 0.01 and len(set(greedy)) > 8:  # no near ties, no loop
                break
        else:
            sys.exit(f"{name}: every seed ran into a near tie")
        golden = {"prompt": prompt, "greedy": greedy, "logits_short": logits(prompt[:SHORT]).tolist(),
                  "logits_long": logits(prompt).tolist()}
        write(folder / f"{name}.gguf", architecture, model, golden)
        save(folder / name, model, dtype, SHARDED.get(name, "5GB"))
        print(name, type(model).__name__, "seed", seed, "least margin", least)


main()
