package org.reattn;

import java.nio.file.Path;
import org.reattn.raw.Raw;
import org.reattn.raw.reattn_cache_info;

/**
 * A session's tokens, cache and settings as they were: a document once read. Immutable; any number
 * of threads may use it at once. {@link Model#newSession(Snapshot)} goes on from it,
 * {@link Model#openSnapshot} reads a saved one.
 */
public final class Snapshot extends Handle {
  Snapshot(long handle) {
    super(handle, Raw::reattn_cache_free);
  }

  /**
   * Writes it to a file, which appears whole or, after an error, not at all (an older file of that
   * name then stays).
   */
  public void save(Path path) {
    byte[] bytes = Native.path(path);
    call(cache -> Blocking.call(() -> Raw.reattn_cache_save(cache, bytes)));
  }

  /** What it holds. */
  public SnapshotInfo info() {
    try (reattn_cache_info raw = new reattn_cache_info()) {
      call(cache -> Raw.reattn_cache_get_info(cache, raw));
      return SnapshotInfo.of(raw);
    }
  }
}
