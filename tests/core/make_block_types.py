#!/usr/bin/env python3
"""Writes data/block_types.gguf: random blocks of each type beside the values that the gguf package reads in them.

    pip install gguf==0.19.0
    tests/core/make_block_types.py tests/core/data/block_types.gguf
"""
import sys

import gguf
import numpy

N_ROWS = 2
# Where a block has its halves; the rest of it may be any bits.
TYPES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0],
}


def main():
    random = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(sys.argv[1], "none")
    for name, halves in TYPES.items():
        kind = gguf.GGMLQuantizationType[name]
        n_elements, n_bytes = gguf.GGML_QUANT_SIZES[kind]
        n_blocks = N_ROWS * 256 // n_elements
        blocks = random.integers(0, 256, (n_blocks, n_bytes), dtype=numpy.uint8)
        for at in halves:
            half = random.normal(0, 0.1, (n_blocks, 1)).astype(numpy.float16)
            blocks[:, at:at + 2] = half.view(numpy.uint8)
        rows = blocks.reshape(N_ROWS, -1)
        writer.add_tensor(name, rows, raw_dtype=kind)
        writer.add_tensor(name + ".values", gguf.quants.dequantize(rows, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
