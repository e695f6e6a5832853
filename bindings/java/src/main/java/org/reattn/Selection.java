package org.reattn;

import org.reattn.raw.RawConstants;

/** How positions to recall are selected. */
public enum Selection {
  /** Plain attention over everything; inside the trained window only. */
  FULL(RawConstants.REATTN_SELECTION_FULL),
  /** By the topK best positions of each query and head. */
  EXACT(RawConstants.REATTN_SELECTION_EXACT),
  /** At most one of them from each 128, as the published kernel does. */
  BLOCK1(RawConstants.REATTN_SELECTION_BLOCK1);

  final int value;

  Selection(int value) {
    this.value = value;
  }

  static Selection of(int value) {
    for (Selection one : values()) {
      if (one.value == value) return one;
    }
    throw new IllegalArgumentException("Selection " + value + " is of a newer library");
  }
}
