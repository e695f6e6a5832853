#!/usr/bin/env python3
"""Times cuDNN attention through torch: 512 queries against N keys, no mask, one JSON line a shape."""
import json
import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

SHAPES = [(32, 8, 128, n) for n in (8192, 16416, 32768, 131072, 1048576)] + [
    (9, 3, 64, n) for n in (3072, 8192, 32768)]


def timed(work, n):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(n):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / n


def main():
    torch.manual_seed(1)
    queries = 512
    for heads, kv_heads, head_dim, n in SHAPES:
        def noise(h, rows):
            return torch.randn(1, h, rows, head_dim, device="cuda", dtype=torch.bfloat16)
        q, k, v = noise(heads, queries), noise(kv_heads, n), noise(kv_heads, n)

        def attend():
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)

        line = {"bench": "cudnn_attention", "device": torch.cuda.get_device_name(), "torch": torch.__version__,
                "queries": queries, "heads": f"{heads}/{kv_heads}", "head_dim": head_dim, "keys": n}
        try:
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                repeats = 3 if n > 200000 else 12
                timed(attend, 3)
                ms = statistics.median(timed(attend, repeats) for _ in range(7))
            line |= {"ms": round(ms, 4), "tflops": round(4 * queries * heads * n * head_dim / ms * 1e-9)}
        except RuntimeError as e:
            line["error"] = str(e).splitlines()[0]
        print(json.dumps(line), flush=True)
        del q, k, v


if __name__ == "__main__":
    sys.exit(main())
