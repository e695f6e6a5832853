package org.reattn;

import org.reattn.raw.RawConstants;

/** Why a generation ended. */
public enum DoneReason {
  /** Everything is read, and nothing was to be generated. */
  READ(RawConstants.REATTN_DONE_READ),
  /** The model ended its answer. */
  END(RawConstants.REATTN_DONE_END),
  /** A stop text appeared. */
  STOP(RawConstants.REATTN_DONE_STOP),
  /** maxTokens were generated. */
  LENGTH(RawConstants.REATTN_DONE_LENGTH),
  /** The capacity of the session or, with {@link Selection#FULL}, the window is reached. */
  FULL(RawConstants.REATTN_DONE_FULL),
  /** By {@link Generation#cancel}, or by interrupting the thread that pulled. */
  CANCELLED(RawConstants.REATTN_DONE_CANCELLED);

  final int value;

  DoneReason(int value) {
    this.value = value;
  }

  static DoneReason of(int value) {
    for (DoneReason one : values()) {
      if (one.value == value) return one;
    }
    throw new IllegalArgumentException("DoneReason " + value + " is of a newer library");
  }
}
