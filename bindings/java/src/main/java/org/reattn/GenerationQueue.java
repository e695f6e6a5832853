package org.reattn;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.reattn.raw.Raw;
import org.reattn.raw.RawConstants;

/**
 * Generations of several sessions of one model that are pulled, and generate, together: a token of
 * each in one pass over the weights, which is what generating costs most.
 *
 * <p>One thread at a time pulls. Any thread may add, cancel, close and look meanwhile.
 */
public final class GenerationQueue extends Handle {
  private final AtomicLong lastTag = new AtomicLong();
  private final Map<Long, Generation> generations = new ConcurrentHashMap<>();

  GenerationQueue(long handle) {
    super(handle, Raw::reattn_queue_free);
  }

  /**
   * From now on the generation's events come out of this queue, until the last was delivered; pulling
   * it directly is refused. Its working memory is shared by all of equal settings: add each before
   * the next is made.
   */
  public void add(Generation generation) {
    long tag = lastTag.incrementAndGet();
    generations.put(tag, generation);
    try {
      generation.call(request -> call(queue -> Raw.reattn_queue_add(queue, request, tag)));
    } catch (RuntimeException failure) {
      generations.remove(tag);
      throw failure;
    }
    generation.onClose(() -> generations.remove(tag));
    if (generation.isClosed()) generations.remove(tag);
  }

  /**
   * Works until the next event of any generation; empty when none is left, and one may be added
   * again. A failure ends its generation alone. An interrupt loses nothing: the next call goes on.
   */
  public Optional<QueueEvent> next() throws InterruptedException {
    try {
      return pull(Long.MAX_VALUE);
    } catch (TimeoutException never) {
      throw new AssertionError(never);
    }
  }

  /** The same, but for no longer than about {@code timeout}; the next call goes on. */
  public Optional<QueueEvent> next(Duration timeout)
      throws InterruptedException, TimeoutException {
    return pull(Math.max(0, timeout.toMillis()));
  }

  private Optional<QueueEvent> pull(long timeoutMs) throws InterruptedException, TimeoutException {
    long start = System.nanoTime();
    while (true) {
      if (Thread.interrupted()) throw new InterruptedException();
      long left = timeoutMs - (System.nanoTime() - start) / 1_000_000;
      long slice = Math.max(0, Math.min(left, Blocking.SLICE_MS));
      long[] tag = new long[1];
      GenerationEvent event = null;
      ReattnException failure = null;
      try {
        Events.Pulled pulled = Events.pull(slice, (ms, raw, buf, needed) -> call(queue ->
            Blocking.call(() -> Raw.reattn_queue_next(queue, ms, tag, raw, buf, needed))));
        if (pulled.status() == RawConstants.REATTN_END) return Optional.empty();
        event = pulled.event();
      } catch (ReattnException caught) {
        if (tag[0] == 0) throw caught; // of the queue itself
        failure = caught;
      }
      boolean last = failure != null || event instanceof Done;
      Generation generation = last ? generations.remove(tag[0]) : generations.get(tag[0]);
      if (generation != null) { // else it was closed meanwhile
        if (event != null) generation.note(event);
        return Optional.of(new QueueEvent(generation, event, failure));
      }
      if (left <= slice) throw new TimeoutException("no event within " + timeoutMs + " ms");
    }
  }
}
