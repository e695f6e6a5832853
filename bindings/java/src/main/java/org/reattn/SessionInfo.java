package org.reattn;

import org.reattn.raw.reattn_session_info;

/**
 * Where a session stands.
 *
 * @param pageTokens tokens of one cache page
 * @param nTokens tokens read
 * @param nPending tokens queued and not yet read; as far as known of an append that goes on
 * @param kvBytes cache memory held, shared pages included
 * @param nPages cache pages held
 * @param nSharedPages of these, shared with forks and snapshots
 */
public record SessionInfo(
    int pageTokens,
    long nTokens,
    long nPending,
    long kvBytes,
    long nPages,
    long nSharedPages) {
  static SessionInfo of(reattn_session_info raw) {
    return new SessionInfo(
        raw.getPage_tokens(),
        raw.getN_tokens(),
        raw.getN_pending(),
        raw.getKv_bytes(),
        raw.getN_pages(),
        raw.getN_shared_pages());
  }
}
