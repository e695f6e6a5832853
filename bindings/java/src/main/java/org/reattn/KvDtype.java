package org.reattn;

import org.reattn.raw.RawConstants;

/** What keys and values are kept in. */
public enum KvDtype {
  /** 32-bit floats. */
  F32(RawConstants.REATTN_KV_F32),
  /** 16-bit floats. */
  F16(RawConstants.REATTN_KV_F16),
  /** bfloat16; on a GPU. */
  BF16(RawConstants.REATTN_KV_BF16),
  /**
   * 8-bit integers with scales, half the size of F16; with {@link Scoring#INT8}, where the device
   * has that.
   */
  INT8(RawConstants.REATTN_KV_INT8);

  final int value;

  KvDtype(int value) {
    this.value = value;
  }

  static KvDtype of(int value) {
    for (KvDtype one : values()) {
      if (one.value == value) return one;
    }
    throw new IllegalArgumentException("KvDtype " + value + " is of a newer library");
  }
}
