package org.reattn;

import org.reattn.raw.reattn_request_stats;

/**
 * What a generation did, and how long it took.
 *
 * @param done it has ended
 * @param nPrefillTokens tokens read
 * @param nDecodeTokens generated tokens that are in the cache of the session
 * @param prefillSeconds spent reading; in a queue: of the steps it had a part in, whole, as are
 *     the next
 * @param decodeSeconds spent generating
 * @param firstTokenSeconds from the first pull to the first token; 0 before
 */
public record GenerationStats(
    boolean done,
    long nPrefillTokens,
    long nDecodeTokens,
    double prefillSeconds,
    double decodeSeconds,
    double firstTokenSeconds) {
  static GenerationStats of(reattn_request_stats raw) {
    return new GenerationStats(
        raw.getDone() != 0,
        raw.getN_prefill_tokens(),
        raw.getN_decode_tokens(),
        raw.getPrefill_seconds(),
        raw.getDecode_seconds(),
        raw.getFirst_token_seconds());
  }
}
