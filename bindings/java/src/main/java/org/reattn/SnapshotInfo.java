package org.reattn;

import org.reattn.raw.reattn_cache_info;

/**
 * What a snapshot holds.
 *
 * @param hasLogits generation can start from it without reading anything first
 * @param nTokens tokens
 * @param kvBytes cache memory, shared pages included
 * @param modelFingerprint as in {@link ModelInfo}
 * @param tokenizerFingerprint likewise
 */
public record SnapshotInfo(
    boolean hasLogits,
    long nTokens,
    long kvBytes,
    long modelFingerprint,
    long tokenizerFingerprint) {
  static SnapshotInfo of(reattn_cache_info raw) {
    return new SnapshotInfo(
        raw.getHas_logits() != 0,
        raw.getN_tokens(),
        raw.getKv_bytes(),
        raw.getModel_fingerprint(),
        raw.getTokenizer_fingerprint());
  }
}
