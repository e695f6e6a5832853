package org.reattn;

import java.util.Objects;
import org.reattn.raw.Raw;
import org.reattn.raw.reattn_session_options;

/**
 * Settings of the method. In every step the model attends to the first nGlobal tokens, to the last
 * nLocal, and to span tokens around each of nAnchors positions in between, which it finds by letting
 * every voteStride-th new token and every query head vote for its topK best positions.
 */
public final class SessionOptions {
  private final Builder set;

  private SessionOptions(Builder set) {
    this.set = set;
  }

  /**
   * A builder that begins with the published settings for the model's window; the model may be
   * opened with headerOnly.
   */
  public static Builder builder(Model model) {
    return builder(model, 0);
  }

  /** A builder that begins with the settings that a snapshot of the model was read with. */
  public static Builder builder(Model model, Snapshot snapshot) {
    Builder[] made = new Builder[1];
    snapshot.call(cache -> {
      made[0] = builder(model, cache);
      return 0;
    });
    return made[0];
  }

  private static Builder builder(Model model, long cache) {
    try (reattn_session_options raw = new reattn_session_options()) {
      model.call(handle -> Raw.reattn_session_options_init(handle, cache, raw));
      return new Builder(raw);
    }
  }

  /** A builder that begins with these settings. */
  public Builder toBuilder() {
    return new Builder(set);
  }

  void into(reattn_session_options raw) {
    raw.setSelection(set.selection.value);
    raw.setN_global(set.nGlobal);
    raw.setN_local(set.nLocal);
    raw.setTop_k(set.topK);
    raw.setSpan(set.span);
    raw.setN_anchors(set.nAnchors);
    raw.setChunk(set.chunk);
    raw.setVote_stride(set.voteStride);
    raw.setKv_dtype(set.kvDtype.value);
    raw.setMax_tokens(set.maxTokens);
    raw.setScoring(set.scoring.value);
  }

  /** How positions to recall are selected. */
  public Selection selection() {
    return set.selection;
  }

  /** First tokens that are always attended to. */
  public long nGlobal() {
    return set.nGlobal;
  }

  /**
   * Last tokens that are always attended to, at least chunk; nGlobal + nAnchors * span + nLocal is
   * at most the trained window.
   */
  public long nLocal() {
    return set.nLocal;
  }

  /** Best positions each query head votes for, 1 to 16. */
  public int topK() {
    return set.topK;
  }

  /** Tokens recalled around an anchor, at least 1. */
  public int span() {
    return set.span;
  }

  /** Positions recalled; 0: nothing is. */
  public int nAnchors() {
    return set.nAnchors;
  }

  /** Tokens read in one step, at least 1. */
  public int chunk() {
    return set.chunk;
  }

  /** Every so manyth new token votes, counted back from the last; at least 1. */
  public int voteStride() {
    return set.voteStride;
  }

  /** What keys and values are kept in. */
  public KvDtype kvDtype() {
    return set.kvDtype;
  }

  /** Capacity of the session; 0: as much as memory holds. */
  public long maxTokens() {
    return set.maxTokens;
  }

  /** How positions to recall are found. */
  public Scoring scoring() {
    return set.scoring;
  }

  /** Collects settings. */
  public static final class Builder {
    private Selection selection;
    private long nGlobal;
    private long nLocal;
    private int topK;
    private int span;
    private int nAnchors;
    private int chunk;
    private int voteStride;
    private KvDtype kvDtype;
    private long maxTokens;
    private Scoring scoring;

    private Builder(reattn_session_options raw) {
      selection = Selection.of(raw.getSelection());
      nGlobal = raw.getN_global();
      nLocal = raw.getN_local();
      topK = raw.getTop_k();
      span = raw.getSpan();
      nAnchors = raw.getN_anchors();
      chunk = raw.getChunk();
      voteStride = raw.getVote_stride();
      kvDtype = KvDtype.of(raw.getKv_dtype());
      maxTokens = raw.getMax_tokens();
      scoring = Scoring.of(raw.getScoring());
    }

    private Builder(Builder other) {
      selection = other.selection;
      nGlobal = other.nGlobal;
      nLocal = other.nLocal;
      topK = other.topK;
      span = other.span;
      nAnchors = other.nAnchors;
      chunk = other.chunk;
      voteStride = other.voteStride;
      kvDtype = other.kvDtype;
      maxTokens = other.maxTokens;
      scoring = other.scoring;
    }

    /** How positions to recall are selected. */
    public Builder selection(Selection selection) {
      this.selection = Objects.requireNonNull(selection, "selection");
      return this;
    }

    /** First tokens that are always attended to. */
    public Builder nGlobal(long nGlobal) {
      this.nGlobal = nGlobal;
      return this;
    }

    /**
     * Last tokens that are always attended to, at least chunk; nGlobal + nAnchors * span + nLocal
     * is at most the trained window.
     */
    public Builder nLocal(long nLocal) {
      this.nLocal = nLocal;
      return this;
    }

    /** Best positions each query head votes for, 1 to 16. */
    public Builder topK(int topK) {
      this.topK = topK;
      return this;
    }

    /** Tokens recalled around an anchor, at least 1. */
    public Builder span(int span) {
      this.span = span;
      return this;
    }

    /** Positions recalled; 0: nothing is. */
    public Builder nAnchors(int nAnchors) {
      this.nAnchors = nAnchors;
      return this;
    }

    /** Tokens read in one step, at least 1. */
    public Builder chunk(int chunk) {
      this.chunk = chunk;
      return this;
    }

    /** Every so manyth new token votes, counted back from the last; at least 1. */
    public Builder voteStride(int voteStride) {
      this.voteStride = voteStride;
      return this;
    }

    /** What keys and values are kept in. */
    public Builder kvDtype(KvDtype kvDtype) {
      this.kvDtype = Objects.requireNonNull(kvDtype, "kvDtype");
      return this;
    }

    /** Capacity of the session; 0: as much as memory holds. */
    public Builder maxTokens(long maxTokens) {
      this.maxTokens = maxTokens;
      return this;
    }

    /** How positions to recall are found. */
    public Builder scoring(Scoring scoring) {
      this.scoring = Objects.requireNonNull(scoring, "scoring");
      return this;
    }

    /** The settings; what is out of range is refused where they are used. */
    public SessionOptions build() {
      return new SessionOptions(new Builder(this));
    }
  }
}
