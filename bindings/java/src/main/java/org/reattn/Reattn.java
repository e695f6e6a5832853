package org.reattn;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.reattn.raw.Raw;
import org.reattn.raw.RawConstants;
import org.reattn.raw.reattn_device_info;
import org.reattn.raw.reattn_log_event;

/** The library that was loaded: its version, its devices and its messages. */
public final class Reattn {
  private Reattn() {}

  /** "major.minor.patch" of the native library. */
  public static String version() {
    return Native.string(Raw.reattn_version());
  }

  /** The ABI of the native library: the number in its soname. */
  public static int abiVersion() {
    return Raw.reattn_abi_version();
  }

  /** The devices that models can be opened on: the CPU, then the CUDA devices. */
  public static List<DeviceInfo> devices() {
    int[] count = new int[1];
    Raw.reattn_device_count(count);
    List<DeviceInfo> devices = new ArrayList<>();
    for (int i = 0; i < count[0]; i++) {
      try (reattn_device_info raw = new reattn_device_info()) {
        Raw.reattn_device_get_info(i, raw);
        devices.add(DeviceInfo.of(raw));
      }
    }
    return List.copyOf(devices);
  }

  /**
   * Opens the CUDA plug-in, {@code libreattn_cuda.so}, which must be of the same build as the native
   * library. Without this call, the one beside the native library is opened when a device is first
   * asked for.
   */
  public static void loadBackend(Path path) {
    Raw.reattn_backend_load(Native.path(path));
  }

  /** What models can be opened on, and why not on the rest, in lines for people to read. */
  public static String diagnose() {
    return Native.string(Native.bytes(1024, Raw::reattn_backend_diagnose));
  }

  /**
   * Takes the oldest unread message about what the library decided on its own, such as which device
   * AUTO chose. The library keeps the last 256 and hands each out once.
   */
  public static Optional<LogMessage> nextLog() {
    try (reattn_log_event raw = new reattn_log_event()) {
      int[] status = new int[1];
      byte[] text = Native.bytes(1024, (buf, needed) -> {
        status[0] = Raw.reattn_log_next(raw, buf, needed);
        return status[0];
      });
      if (status[0] == RawConstants.REATTN_END) return Optional.empty();
      return Optional.of(new LogMessage(raw.getSequence(), Native.string(text)));
    }
  }
}
