package org.reattn;

import org.reattn.raw.RawConstants;

/** Over what recalled passages are summed. */
public enum RecallScope {
  /** The last chunk read or token generated. */
  LAST_STEP(RawConstants.REATTN_RECALLED_LAST_STEP),
  /** All chunks of the last append that was read. */
  PROMPT(RawConstants.REATTN_RECALLED_PROMPT),
  /** All tokens the generation made. */
  ANSWER(RawConstants.REATTN_RECALLED_ANSWER);

  final int value;

  RecallScope(int value) {
    this.value = value;
  }
}
