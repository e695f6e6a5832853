package org.reattn;

import java.nio.charset.StandardCharsets;
import org.reattn.raw.RawConstants;
import org.reattn.raw.reattn_event;

/** Pulls one event out of a generation or a queue. */
final class Events {
  /** Longer than the text of nearly every event; one that does not fit is pulled again. */
  private static final int ROOM = 512;

  /** A pull, given the time it may take, the event and the room for its text. */
  interface Pull {
    int into(long timeoutMs, reattn_event event, byte[] buf, long[] needed);
  }

  /** What came of a pull: OK and an event, or TIMEOUT or END and none. */
  record Pulled(int status, GenerationEvent event) {}

  private static final Pulled END = new Pulled(RawConstants.REATTN_END, null);
  private static final Pulled TIMEOUT = new Pulled(RawConstants.REATTN_TIMEOUT, null);

  private Events() {}

  static Pulled pull(long timeoutMs, Pull pull) {
    long[] needed = new long[1];
    byte[] buf = new byte[ROOM];
    try (reattn_event raw = new reattn_event()) {
      int status;
      while ((status = pull.into(timeoutMs, raw, buf, needed)) == RawConstants.REATTN_E_BUFFER) {
        buf = new byte[Math.toIntExact(needed[0])];
      }
      if (status == RawConstants.REATTN_END) return END;
      if (status == RawConstants.REATTN_TIMEOUT) return TIMEOUT;
      return new Pulled(status, event(raw, buf));
    }
  }

  private static GenerationEvent event(reattn_event raw, byte[] buf) {
    String text = new String(buf, 0, (int) raw.getText_bytes(), StandardCharsets.UTF_8);
    switch (raw.getKind()) {
      case RawConstants.REATTN_EVENT_PREFILL:
        return new Progress(raw.getN_done(), raw.getN_total());
      case RawConstants.REATTN_EVENT_TEXT:
        return new Token(raw.getToken(), raw.getLogprob(), text);
      case RawConstants.REATTN_EVENT_DONE:
        return new Done(
            DoneReason.of(raw.getReason()), text, raw.getN_done(), raw.getN_total());
      default:
        throw new IllegalStateException("event " + raw.getKind() + " is of a newer library");
    }
  }
}
