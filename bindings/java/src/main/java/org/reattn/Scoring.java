package org.reattn;

import org.reattn.raw.RawConstants;

/** How queries and keys are compared when positions to recall are looked for. */
public enum Scoring {
  /** As the cache holds keys. */
  NATIVE(RawConstants.REATTN_SCORING_NATIVE),
  /** In 8-bit integers, where the device has that: faster, close to native. */
  INT8(RawConstants.REATTN_SCORING_INT8);

  final int value;

  Scoring(int value) {
    this.value = value;
  }

  static Scoring of(int value) {
    for (Scoring one : values()) {
      if (one.value == value) return one;
    }
    throw new IllegalArgumentException("Scoring " + value + " is of a newer library");
  }
}
