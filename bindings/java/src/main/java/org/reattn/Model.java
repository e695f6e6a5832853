package org.reattn;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.reattn.raw.Raw;
import org.reattn.raw.RawConstants;
import org.reattn.raw.reattn_geometry;
import org.reattn.raw.reattn_load_progress;
import org.reattn.raw.reattn_memory_plan;
import org.reattn.raw.reattn_model_info;
import org.reattn.raw.reattn_model_options;
import org.reattn.raw.reattn_session_options;

/** A model file, loaded; immutable. Any number of threads may use it at once. */
public final class Model extends Handle {
  private Model(long handle) {
    super(handle, Raw::reattn_model_free);
  }

  // ---- Opening ------------------------------------------------------------------------------

  /** Opens a model with the default options. */
  public static Model open(Path path) {
    return open(path, ModelOptions.builder().build());
  }

  /** Opens a model. */
  public static Model open(Path path, ModelOptions options) {
    return open(path, options, progress -> {});
  }

  /**
   * Opens a model, a GGUF file or a folder as Hugging Face's library saves it, and waits until it is
   * loaded. Interrupting the waiting thread ends the loading: this then throws with {@link
   * ErrorCode#CANCELLED}, and the thread stays interrupted.
   *
   * @param onProgress is told every now and then, by this thread, how far it is
   */
  public static Model open(Path path, ModelOptions options, Consumer<LoadProgress> onProgress) {
    return start(path, options).loaded(onProgress);
  }

  /** Opens a model in the background. */
  public static CompletableFuture<Model> openAsync(Path path, ModelOptions options) {
    return openAsync(path, options, progress -> {});
  }

  /**
   * Opens a model in the background. Cancelling the future ends the loading. Whoever gets the
   * model closes it.
   *
   * @param onProgress is told every now and then, by a thread of the binding, how far it is
   */
  public static CompletableFuture<Model> openAsync(
      Path path, ModelOptions options, Consumer<LoadProgress> onProgress) {
    byte[] bytes = Native.path(path);
    CompletableFuture<Model> future = new CompletableFuture<>();
    Blocking.THREADS.execute(() -> {
      try {
        Model model = start(bytes, options);
        // Closing a model that is still loading ends the loading.
        future.whenComplete((loaded, failure) -> {
          if (future.isCancelled()) model.close();
        });
        model.loaded(onProgress);
        if (!future.complete(model)) model.close();
      } catch (Throwable failure) {
        future.completeExceptionally(failure);
      }
    });
    return future;
  }

  /**
   * Makes a model of this shape out of random weights, to measure the speed and memory of sizes
   * whose weights are not at hand. What it generates means nothing: token i reads "w" and its number.
   */
  public static Model synthesize(Geometry geometry, ModelOptions options) {
    long[] made = new long[1];
    try (reattn_geometry shape = new reattn_geometry();
        reattn_model_options raw = new reattn_model_options()) {
      geometry.into(shape);
      options.into(raw);
      Raw.reattn_model_synthesize(shape, raw, made);
    }
    return new Model(made[0]).loaded(progress -> {});
  }

  private static Model start(Path path, ModelOptions options) {
    byte[] bytes = Native.path(path);
    return Blocking.call(() -> start(bytes, options));
  }

  private static Model start(byte[] path, ModelOptions options) {
    long[] made = new long[1];
    try (reattn_model_options raw = new reattn_model_options()) {
      options.into(raw);
      Raw.reattn_model_open(path, raw, made);
    }
    return new Model(made[0]);
  }

  /** This, once it is loaded; when that fails, it is closed. */
  private Model loaded(Consumer<LoadProgress> onProgress) {
    try (reattn_load_progress raw = new reattn_load_progress()) {
      boolean cancelled = false;
      int status;
      do {
        status = call(model ->
            Blocking.call(() -> Raw.reattn_model_wait(model, Blocking.SLICE_MS, raw)));
        if (status == RawConstants.REATTN_TIMEOUT && !cancelled
            && Thread.currentThread().isInterrupted()) {
          call(Raw::reattn_model_cancel_load);
          cancelled = true;
        }
        onProgress.accept(LoadProgress.of(raw));
      } while (status == RawConstants.REATTN_TIMEOUT);
      return this;
    } catch (Throwable failure) {
      close();
      throw failure;
    }
  }

  // ---- What it is ---------------------------------------------------------------------------

  /** What the model says of itself. */
  public ModelInfo info() {
    try (reattn_model_info raw = new reattn_model_info()) {
      call(model -> Raw.reattn_model_get_info(model, raw));
      return ModelInfo.of(raw);
    }
  }

  /** The file's metadata in its order, as readable text, in which long values are cut. */
  public Map<String, String> metadata() {
    Map<String, String> all = new LinkedHashMap<>();
    long n = info().nMetadata();
    for (long i = 0; i < n; i++) {
      long index = i;
      long[] keyNeeded = {256};
      long[] valueNeeded = {1024};
      byte[] key;
      byte[] value;
      int status;
      do {
        byte[] keyRoom = new byte[Math.toIntExact(keyNeeded[0])];
        byte[] valueRoom = new byte[Math.toIntExact(valueNeeded[0])];
        status = call(model -> Raw.reattn_model_metadata(
            model, index, keyRoom, keyNeeded, valueRoom, valueNeeded));
        key = keyRoom;
        value = valueRoom;
      } while (status == RawConstants.REATTN_E_BUFFER);
      all.put(text(key, keyNeeded[0]), text(value, valueNeeded[0]));
    }
    return Collections.unmodifiableMap(all);
  }

  private static String text(byte[] bytes, long length) {
    return new String(bytes, 0, (int) length, StandardCharsets.UTF_8);
  }

  /** What holding a session of so many tokens would take, from the header alone. */
  public MemoryPlan estimate(SessionOptions options, long nTokens) {
    try (reattn_session_options raw = new reattn_session_options();
        reattn_memory_plan plan = new reattn_memory_plan()) {
      options.into(raw);
      call(model -> Raw.reattn_model_estimate(model, raw, nTokens, plan));
      return MemoryPlan.of(plan);
    }
  }

  // ---- Text ---------------------------------------------------------------------------------

  /** Token ids of text, in which special tokens are text like any other. */
  public int[] tokenize(String text) {
    return tokenize(text, false);
  }

  /**
   * Token ids of text; no begin- or end-of-text token is added.
   *
   * @param parseSpecial the text of a special token, such as "&lt;|im_end|&gt;", becomes that token;
   *     text from a user should not be read so
   */
  public int[] tokenize(String text, boolean parseSpecial) {
    return tokenize(Native.utf8(text), parseSpecial);
  }

  /** The same of UTF-8. */
  public int[] tokenize(byte[] utf8, boolean parseSpecial) {
    return Blocking.call(() -> Native.ints(utf8.length / 2 + 16, (ids, needed) -> call(
        model -> Raw.reattn_text_tokenize(model, utf8, parseSpecial ? 1 : 0, ids, needed))));
  }

  /** The text of tokens; where they begin or end inside a character, that is replaced by U+FFFD. */
  public String detokenize(int... ids) {
    return Native.string(detokenizeBytes(ids));
  }

  /** The bytes of tokens, one after the other, which need not be whole UTF-8. */
  public byte[] detokenizeBytes(int... ids) {
    return Native.bytes(ids.length * 4 + 16,
        (buf, needed) -> call(model -> Raw.reattn_text_detokenize(model, ids, buf, needed)));
  }

  /** A conversation in the words of the model's chat template, for looking at. */
  public String renderChat(List<ChatMessage> messages, boolean addGenerationPrompt) {
    return renderChat(ChatMessage.json(messages), addGenerationPrompt);
  }

  /**
   * The same of JSON: an array of messages, or an object with that array as "messages" and with
   * "tools" and other variables of the template.
   */
  public String renderChat(String messagesJson, boolean addGenerationPrompt) {
    byte[] json = Native.utf8(messagesJson);
    return Native.string(Native.bytes(json.length + 256, (buf, needed) -> call(model ->
        Raw.reattn_chat_render(model, json, addGenerationPrompt ? 1 : 0, buf, needed))));
  }

  /**
   * Token ids of a conversation in the model's chat template. Special tokens match in the template's
   * own words only: a message's content cannot forge them.
   *
   * @param addGenerationPrompt end with what makes the model answer
   */
  public int[] tokenizeChat(List<ChatMessage> messages, boolean addGenerationPrompt) {
    return tokenizeChat(ChatMessage.json(messages), addGenerationPrompt);
  }

  /** The same of JSON, as {@link #renderChat(String, boolean)}. */
  public int[] tokenizeChat(String messagesJson, boolean addGenerationPrompt) {
    byte[] json = Native.utf8(messagesJson);
    return Blocking.call(() -> Native.ints(json.length / 2 + 64, (ids, needed) -> call(model ->
        Raw.reattn_chat_tokenize(model, json, addGenerationPrompt ? 1 : 0, ids, needed))));
  }

  // ---- Sessions and snapshots ---------------------------------------------------------------

  /** An empty session with the published settings for the model's window. */
  public Session newSession() {
    return newSession(null, null);
  }

  /** An empty session. */
  public Session newSession(SessionOptions options) {
    return newSession(null, options);
  }

  /** A session that goes on from a snapshot and shares its memory. */
  public Session newSession(Snapshot snapshot) {
    return newSession(snapshot, null);
  }

  /**
   * A session that goes on from a snapshot, of whose settings nLocal, nAnchors, topK, span,
   * voteStride and maxTokens may be changed.
   *
   * @param snapshot null: an empty session
   * @param options null: those of the snapshot, or the published ones
   */
  public Session newSession(Snapshot snapshot, SessionOptions options) {
    if (snapshot == null) return newSession(0, options);
    Session[] made = new Session[1];
    snapshot.call(cache -> {
      made[0] = newSession(cache, options);
      return 0;
    });
    return made[0];
  }

  private Session newSession(long cache, SessionOptions options) {
    long[] made = new long[1];
    if (options == null) {
      call(model -> Raw.reattn_session_create(model, cache, null, made));
    } else {
      try (reattn_session_options raw = new reattn_session_options()) {
        options.into(raw);
        call(model -> Raw.reattn_session_create(model, cache, raw, made));
      }
    }
    return new Session(this, made[0]);
  }

  /** Reads a snapshot that {@link Snapshot#save} wrote for this very model. */
  public Snapshot openSnapshot(Path path) {
    byte[] bytes = Native.path(path);
    long[] made = new long[1];
    call(model -> Blocking.call(() -> Raw.reattn_cache_open(model, bytes, made)));
    return new Snapshot(made[0]);
  }

  /** A queue for generations of sessions of this model. */
  public GenerationQueue newQueue() {
    long[] made = new long[1];
    call(model -> Raw.reattn_queue_create(model, made));
    return new GenerationQueue(made[0]);
  }
}
