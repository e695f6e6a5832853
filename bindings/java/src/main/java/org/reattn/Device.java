package org.reattn;

import org.reattn.raw.RawConstants;

/** Where a model runs. */
public enum Device {
  /** The fastest that can be used; the choice goes to {@link Reattn#nextLog}. */
  AUTO(RawConstants.REATTN_DEVICE_AUTO),
  /** The processor. */
  CPU(RawConstants.REATTN_DEVICE_CPU),
  /** An NVIDIA GPU; {@link ErrorCode#NO_DEVICE} with the reason where it cannot be used. */
  CUDA(RawConstants.REATTN_DEVICE_CUDA);

  final int value;

  Device(int value) {
    this.value = value;
  }

  static Device of(int value) {
    for (Device one : values()) {
      if (one.value == value) return one;
    }
    throw new IllegalArgumentException("Device " + value + " is of a newer library");
  }
}
