package org.reattn;

import org.reattn.raw.reattn_load_progress;

/**
 * How far a model is loaded.
 *
 * @param finished loading has ended, well or not
 * @param bytesDone bytes of the file that are read and checked
 * @param bytesTotal bytes of the file; 0 while not known
 */
public record LoadProgress(
    boolean finished,
    long bytesDone,
    long bytesTotal) {
  static LoadProgress of(reattn_load_progress raw) {
    return new LoadProgress(
        raw.getFinished() != 0,
        raw.getBytes_done(),
        raw.getBytes_total());
  }
}
