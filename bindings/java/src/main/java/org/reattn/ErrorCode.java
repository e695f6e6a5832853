package org.reattn;

import org.reattn.raw.RawConstants;

/** What kind of failure a {@link ReattnException} reports: the REATTN_E_ constants of the C API. */
public enum ErrorCode {
  /** An argument is out of its range. */
  ARG(RawConstants.REATTN_E_ARG),
  /** An object was freed; the binding reports it as {@link IllegalStateException}. */
  HANDLE(RawConstants.REATTN_E_HANDLE),
  /** Another call, a live generation or the loading uses the object. */
  BUSY(RawConstants.REATTN_E_BUSY),
  /** Cancelled by the caller. */
  CANCELLED(RawConstants.REATTN_E_CANCELLED),
  /** No such device, or it cannot be used; the message says why. */
  NO_DEVICE(RawConstants.REATTN_E_NO_DEVICE),
  /** The device failed for good. */
  DEVICE_LOST(RawConstants.REATTN_E_DEVICE_LOST),
  /** Host memory cannot hold it. */
  OOM_HOST(RawConstants.REATTN_E_OOM_HOST),
  /** Device memory cannot hold it. */
  OOM_DEVICE(RawConstants.REATTN_E_OOM_DEVICE),
  /** A file's content is not what its format says. */
  FORMAT(RawConstants.REATTN_E_FORMAT),
  /** A snapshot of another model, tokenizer or layout. */
  MISMATCH(RawConstants.REATTN_E_MISMATCH),
  /** A buffer is too small; the binding makes larger ones by itself. */
  BUFFER(RawConstants.REATTN_E_BUFFER),
  /** Valid, but this build cannot do it. */
  UNSUPPORTED(RawConstants.REATTN_E_UNSUPPORTED),
  /** A fault of the library. */
  INTERNAL(RawConstants.REATTN_E_INTERNAL),
  /** The operating system refused to read or write. */
  IO(RawConstants.REATTN_E_IO),
  /** A status that this version of the binding does not know. */
  UNKNOWN(Integer.MIN_VALUE);

  private final int status;

  ErrorCode(int status) {
    this.status = status;
  }

  static ErrorCode of(int status) {
    for (ErrorCode code : values()) {
      if (code.status == status) return code;
    }
    return UNKNOWN;
  }
}
