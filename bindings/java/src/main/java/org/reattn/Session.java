package org.reattn;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.function.Consumer;
import org.reattn.raw.Raw;
import org.reattn.raw.reattn_request_options;
import org.reattn.raw.reattn_session_info;

/**
 * Tokens that were read, their cache, and what waits to be read.
 *
 * <p>One thread at a time may append, truncate, fork, take a snapshot or generate; while a generation
 * is live, the session refuses these ({@link ErrorCode#BUSY}). Everything else works all the while.
 */
public final class Session extends Handle {
  private static final int PIECE_BYTES = 1 << 18;

  private final Model model;

  Session(Model model, long handle) {
    super(handle, Raw::reattn_session_free);
    this.model = model;
  }

  /** The model it is of, which may be closed by now. */
  public Model model() {
    return model;
  }

  // ---- What is to be read -------------------------------------------------------------------

  /**
   * Queues text; a generation reads it later. Append a document and the question about it
   * separately: then only the question's tokens vote on what is recalled for it.
   */
  public void append(String text, AppendFlag... flags) {
    append(Native.utf8(text), flags);
  }

  /** Queues UTF-8; with {@link AppendFlag#MORE} it may end inside a character. */
  public void append(byte[] utf8, AppendFlag... flags) {
    int bits = AppendFlag.bits(flags);
    call(session ->
        Blocking.call(() -> Raw.reattn_session_append_text(session, utf8, bits)));
  }

  /** Queues token ids. */
  public void append(int[] ids, AppendFlag... flags) {
    int bits = AppendFlag.bits(flags);
    call(session -> Blocking.call(() -> Raw.reattn_session_append_ids(session, ids, bits)));
  }

  /**
   * Queues all UTF-8 of a stream as one append, piece by piece. When the stream fails, or what it
   * gives is refused, everything queued in this session is dropped. The stream is not closed.
   */
  public void append(InputStream utf8, AppendFlag... flags) throws IOException {
    int end = AppendFlag.bits(flags);
    int more = end | AppendFlag.MORE.value;
    boolean whole = false;
    try {
      byte[] piece;
      while ((piece = utf8.readNBytes(PIECE_BYTES)).length > 0) {
        byte[] bytes = piece;
        call(session ->
            Blocking.call(() -> Raw.reattn_session_append_text(session, bytes, more)));
      }
      call(session -> Raw.reattn_session_append_text(session, new byte[0], end));
      whole = true;
    } finally {
      if (!whole && !isClosed()) truncate(info().nTokens());
    }
  }

  /** Queues a conversation in the words of the model's chat template, and what makes it answer. */
  public void append(List<ChatMessage> messages, AppendFlag... flags) {
    append(model.tokenizeChat(messages, true), flags);
  }

  /** Forgets all tokens from position {@code nTokens} on, and everything queued. */
  public void truncate(long nTokens) {
    call(session -> Raw.reattn_session_truncate(session, nTokens));
  }

  // ---- What was read ------------------------------------------------------------------------

  /** Where the session stands. */
  public SessionInfo info() {
    try (reattn_session_info raw = new reattn_session_info()) {
      call(session -> Raw.reattn_session_get_info(session, raw));
      return SessionInfo.of(raw);
    }
  }

  /** Ids of the tokens [begin, end). */
  public int[] tokens(long begin, long end) {
    return Native.ints(guess(begin, end, 1), (ids, needed) ->
        call(session -> Raw.reattn_session_tokens(session, begin, end, ids, needed)));
  }

  /** Their text; where they begin or end inside a character, that is replaced by U+FFFD. */
  public String text(long begin, long end) {
    return Native.string(bytes(begin, end));
  }

  /** Their bytes, which need not be whole UTF-8. */
  public byte[] bytes(long begin, long end) {
    return Native.bytes(guess(begin, end, 5), (buf, needed) ->
        call(session -> Raw.reattn_session_text(session, begin, end, buf, needed)));
  }

  /**
   * The natural logarithm of the probability of each of the tokens [begin, end) after all before it;
   * NaN for the very first token and where it was not kept ({@link AppendFlag#LOGPROBS}).
   */
  public float[] logprobs(long begin, long end) {
    return Native.floats(guess(begin, end, 1), (values, needed) ->
        call(session -> Raw.reattn_session_logprobs(session, begin, end, values, needed)));
  }

  /** Room that suffices for most; a range that makes no sense is left to the library to refuse. */
  private static int guess(long begin, long end, int perToken) {
    return (int) Math.max(0, Math.min(end - begin, 1 << 16)) * perToken;
  }

  // ---- Copies -------------------------------------------------------------------------------

  /** A second session with the same tokens and settings, sharing memory: cheap. */
  public Session fork() {
    long[] made = new long[1];
    call(session -> Raw.reattn_session_fork(session, made));
    return new Session(model, made[0]);
  }

  /** The session as it is now, sharing its memory; the session may go on. */
  public Snapshot snapshot() {
    long[] made = new long[1];
    call(session -> Raw.reattn_cache_snapshot(session, made));
    return new Snapshot(made[0]);
  }

  // ---- Generating ---------------------------------------------------------------------------

  /**
   * A generation that reads what is queued and then generates. Nothing happens until it is pulled,
   * and until it ends, by its last event, a failure or being closed, the session takes nothing else.
   */
  public Generation generate(GenerationOptions options) {
    long[] made = new long[1];
    try (reattn_request_options raw = new reattn_request_options()) {
      options.into(raw);
      call(session -> Raw.reattn_request_create(session, raw, made));
    }
    Generation generation = new Generation(this, made[0]);
    try {
      options.stops().forEach(generation::addStop);
      options.jsonSchema().ifPresent(generation::setJsonSchema);
    } catch (RuntimeException failure) {
      generation.close();
      throw failure;
    }
    return generation;
  }

  /** Reads everything queued, and waits for it. */
  public Done read() {
    return read(progress -> {});
  }

  /**
   * Reads everything queued, and waits for it. Interrupting the waiting thread ends the reading with
   * {@link DoneReason#CANCELLED} at the last complete chunk.
   *
   * @param onProgress is told, by this thread, about every chunk that was read
   */
  public Done read(Consumer<Progress> onProgress) {
    try (Generation reading = generate(GenerationOptions.builder().maxTokens(0).build())) {
      return reading.onProgress(onProgress).finish();
    }
  }
}
