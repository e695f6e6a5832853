package org.reattn;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.reattn.raw.Raw;
import org.reattn.raw.RawConstants;
import org.reattn.raw.reattn_request_stats;

/**
 * Reading and generating on one session, pulled in one of these ways: as {@linkplain #iterator
 * tokens} in a for-each loop, as a {@linkplain #text stream} of text, as a {@linkplain #publisher
 * publisher}, {@linkplain #nextEvent event} by event, or {@linkplain #answer at once}.
 *
 * <p>One thread at a time pulls, and the work is done in it. Interrupting that thread cancels the
 * generation, which then ends with {@link DoneReason#CANCELLED}; the thread stays interrupted.
 */
public final class Generation extends Handle implements Iterable<Token> {
  /** For {@link #recalled(int, RecallScope)}: the sum over all layers. */
  public static final int ALL_LAYERS = RawConstants.REATTN_ALL_LAYERS;

  private final Session session;
  private final Iterator<Token> tokens = new Tokens();
  private volatile Consumer<Progress> onProgress = progress -> {};
  private volatile Done done;
  private volatile Runnable onClose = () -> {};

  Generation(Session session, long handle) {
    super(handle, Raw::reattn_request_free);
    this.session = session;
  }

  /** The session it is on. */
  public Session session() {
    return session;
  }

  /**
   * Ends the answer where {@code text} (1 to 1,024 bytes of UTF-8) appears in it, also across tokens;
   * only before the first pull.
   */
  public void addStop(String text) {
    byte[] utf8 = Native.utf8(text);
    call(request -> Raw.reattn_request_add_stop(request, utf8));
  }

  /**
   * What is generated is one JSON text that {@code schema} allows; only before the first pull, and not
   * with {@link GenerationOptions#ignoreEnd()}.
   */
  public void setJsonSchema(String schema) {
    byte[] utf8 = Native.utf8(schema);
    call(request -> Raw.reattn_request_set_json_schema(request, utf8));
  }

  /** Tells {@code listener}, in the thread that pulls, about every chunk that was read. */
  public Generation onProgress(Consumer<Progress> listener) {
    onProgress = Objects.requireNonNull(listener, "listener");
    return this;
  }

  // ---- Pulling ------------------------------------------------------------------------------

  /** Works until the next event; empty when nothing more will come. */
  public Optional<GenerationEvent> nextEvent() {
    Events.Pulled pulled = pull(Long.MAX_VALUE);
    return Optional.ofNullable(pulled.event());
  }

  /**
   * The same, but for no longer than about {@code timeout}; the next call goes on where this one
   * stopped.
   */
  public Optional<GenerationEvent> nextEvent(Duration timeout) throws TimeoutException {
    Events.Pulled pulled = pull(Math.max(0, timeout.toMillis()));
    if (pulled.status() == RawConstants.REATTN_TIMEOUT) {
      throw new TimeoutException("no event within " + timeout.toMillis() + " ms");
    }
    return Optional.ofNullable(pulled.event());
  }

  private Events.Pulled pull(long timeoutMs) {
    long start = System.nanoTime();
    boolean interrupted = false;
    while (true) {
      if (!interrupted && Thread.currentThread().isInterrupted()) {
        interrupted = true;
        cancel();
      }
      long left = timeoutMs - (System.nanoTime() - start) / 1_000_000;
      long slice = Math.max(0, Math.min(left, Blocking.SLICE_MS));
      Events.Pulled pulled = Events.pull(slice, (ms, event, buf, needed) -> call(request ->
          Blocking.call(() -> Raw.reattn_request_next(request, ms, event, buf, needed))));
      if (pulled.status() != RawConstants.REATTN_TIMEOUT || left <= slice) {
        if (pulled.event() != null) note(pulled.event());
        return pulled;
      }
    }
  }

  /** Called with every event, also by the queue it is in. */
  void note(GenerationEvent event) {
    if (event instanceof Progress) {
      onProgress.accept((Progress) event);
    } else if (event instanceof Done) {
      done = (Done) event;
    }
  }

  /**
   * The tokens of the answer, pulled one by one; input is read first. There is one iterator, which
   * goes on where it stood. Its last token may have no id: it then holds text that was held back.
   */
  @Override
  public Iterator<Token> iterator() {
    return tokens;
  }

  private final class Tokens implements Iterator<Token> {
    private Token ahead;

    @Override
    public boolean hasNext() {
      while (ahead == null) {
        Optional<GenerationEvent> event = nextEvent();
        if (event.isEmpty()) return false;
        if (event.get() instanceof Token) {
          ahead = (Token) event.get();
        } else if (event.get() instanceof Done && !((Done) event.get()).text().isEmpty()) {
          ahead = new Token(Token.NO_ID, 0, ((Done) event.get()).text());
        }
      }
      return true;
    }

    @Override
    public Token next() {
      if (!hasNext()) throw new NoSuchElementException("the generation has ended");
      Token token = ahead;
      ahead = null;
      return token;
    }
  }

  /** The same tokens as a stream. Closing the stream closes the generation. */
  public Stream<Token> tokens() {
    return StreamSupport.stream(
        Spliterators.spliteratorUnknownSize(tokens, Spliterator.ORDERED | Spliterator.NONNULL),
        false).onClose(this::close);
  }

  /** The text of the answer in pieces of whole characters. Closing it closes the generation. */
  public Stream<String> text() {
    return tokens().map(Token::text).filter(piece -> !piece.isEmpty());
  }

  /** Generates to the end, and gives the rest of the answer that was not pulled yet. */
  public String answer() {
    StringBuilder answer = new StringBuilder();
    tokens.forEachRemaining(token -> answer.append(token.text()));
    return answer.toString();
  }

  /** Reads and generates to the end, and says how it ended. */
  public Done finish() {
    tokens.forEachRemaining(token -> {});
    return done().orElseThrow(() -> new IllegalStateException("the generation ended by a failure"));
  }

  /** The last event, once it was pulled. */
  public Optional<Done> done() {
    return Optional.ofNullable(done);
  }

  /** The events for one subscriber, pulled by daemon threads of the binding. */
  public Flow.Publisher<GenerationEvent> publisher() {
    return publisher(Blocking.THREADS);
  }

  /**
   * The events for one subscriber, pulled in tasks of {@code executor} as it asks for them; its
   * threads are kept busy meanwhile. Cancelling the subscription cancels the generation and pulls it
   * to its end, so that the session can be used again. Closing the generation is left to the caller.
   */
  public Flow.Publisher<GenerationEvent> publisher(Executor executor) {
    return new EventPublisher(this, executor);
  }

  /**
   * Makes the running pull, or the next one, end the generation with {@link DoneReason#CANCELLED}
   * within 100 ms. Any thread, any time; waits for nothing.
   */
  public void cancel() {
    call(Raw::reattn_request_cancel);
  }

  // ---- Looking ------------------------------------------------------------------------------

  /** Passages recalled for the answer so far, summed over all layers, most voted first. */
  public List<Span> recalled() {
    return recalled(ALL_LAYERS, RecallScope.ANSWER);
  }

  /**
   * Passages that were recalled, most voted first; passages that touch are one. None where nothing
   * was recalled.
   *
   * @param layer 0 to nLayers - 1, or {@link #ALL_LAYERS} for the sum
   */
  public List<Span> recalled(int layer, RecallScope scope) {
    long[] numbers = Native.longs(64, 3, (spans, needed) ->
        call(request -> Raw.reattn_request_recalled(request, layer, scope.value, spans, needed)));
    List<Span> spans = new ArrayList<>(numbers.length / 3);
    for (int i = 0; i < numbers.length; i += 3) {
      spans.add(new Span(numbers[i], numbers[i + 1], numbers[i + 2]));
    }
    return List.copyOf(spans);
  }

  /** Logits after the last token that was read or generated, one for each id. */
  public float[] logits() {
    return Native.floats(0, (values, needed) ->
        call(request -> Raw.reattn_request_logits(request, values, needed)));
  }

  /** What was done so far, and how long it took. */
  public GenerationStats stats() {
    try (reattn_request_stats raw = new reattn_request_stats()) {
      call(request -> Raw.reattn_request_get_stats(request, raw));
      return GenerationStats.of(raw);
    }
  }

  void onClose(Runnable action) {
    onClose = action;
  }

  /**
   * Frees it; a pull that is running is cancelled and ends soon. The session stays as it is; input
   * not yet read is dropped.
   */
  @Override
  public void close() {
    super.close();
    onClose.run();
  }
}
