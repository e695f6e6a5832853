package org.reattn;

import org.reattn.raw.RawConstants;

/** What a model's weights are held in. */
public enum Weights {
  /** As the device multiplies them best: BF16 on a GPU, as the file has them on the CPU. */
  AUTO(RawConstants.REATTN_WEIGHTS_AUTO),
  /**
   * The layers' matrices in 8 bits, made from what the file has while loading: about half of BF16,
   * and faster; answers differ a little. Where the device has it.
   */
  FP8(RawConstants.REATTN_WEIGHTS_FP8);

  final int value;

  Weights(int value) {
    this.value = value;
  }

  static Weights of(int value) {
    for (Weights one : values()) {
      if (one.value == value) return one;
    }
    throw new IllegalArgumentException("Weights " + value + " is of a newer library");
  }
}
