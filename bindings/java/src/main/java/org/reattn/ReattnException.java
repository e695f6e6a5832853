package org.reattn;

import java.nio.charset.StandardCharsets;

/** A call of the native library failed; the message is the library's own. */
public class ReattnException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  /** Called by the native layer. */
  ReattnException(int status, byte[] message) {
    super(new String(message, StandardCharsets.UTF_8));
    this.status = status;
  }

  /** What kind of failure it is. */
  public ErrorCode code() {
    return ErrorCode.of(status);
  }

  /** The status of the C API, negative. */
  public int status() {
    return status;
  }

  /** The class, the code and the message. */
  @Override
  public String toString() {
    return getClass().getName() + ": " + code() + ": " + getMessage();
  }
}
