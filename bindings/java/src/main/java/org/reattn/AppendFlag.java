package org.reattn;

import org.reattn.raw.RawConstants;

/** How text or tokens are appended. */
public enum AppendFlag {
  /** The same append goes on with the next piece, and may be cut inside a character. */
  MORE(RawConstants.REATTN_APPEND_MORE),
  /** Text only: special tokens in it become their ids. */
  SPECIAL(RawConstants.REATTN_APPEND_SPECIAL),
  /** Keep the log-probability of each of its tokens; costs time. */
  LOGPROBS(RawConstants.REATTN_APPEND_LOGPROBS);

  final int value;

  AppendFlag(int value) {
    this.value = value;
  }

  static int bits(AppendFlag... flags) {
    int bits = 0;
    for (AppendFlag flag : flags) bits |= flag.value;
    return bits;
  }
}
