/**
 * Long-context generation by ReAttention: language models read documents far longer than their
 * trained window, and answer with the passages they drew from.
 *
 * <p>A program {@linkplain org.reattn.Model#open opens} a {@link org.reattn.Model}, makes a
 * {@link org.reattn.Session} of it, appends text, and pulls an answer out of a
 * {@link org.reattn.Generation}.
 *
 * <p><b>Closing.</b> What holds native memory is {@link AutoCloseable}. {@code close()} frees at
 * once, may be called more than once, in any order and from any thread, also during another call on
 * the object; using a closed object is an {@link IllegalStateException}. What is never closed is
 * freed after it became unreachable.
 *
 * <p><b>Threads.</b> {@link org.reattn.Model} and {@link org.reattn.Snapshot} may be used by any
 * number of threads at once. A {@link org.reattn.Session} has one writer at a time and any number
 * of readers; a {@link org.reattn.Generation} is pulled by one thread at a time, and anyone may cancel
 * it or look. An overlap is an {@link org.reattn.ErrorCode#BUSY} and changes nothing. Work happens
 * inside the calls, never between them. When the caller is a virtual thread, calls that last run on
 * a platform thread of the binding while the virtual one is parked, so that no carrier is pinned.
 *
 * <p><b>Failures</b> are {@link org.reattn.ReattnException}s with the library's own message.
 */
package org.reattn;
