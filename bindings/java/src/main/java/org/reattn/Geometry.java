package org.reattn;

import org.reattn.raw.reattn_geometry;

/**
 * The shape of a made-up model of the Llama family, for measuring: {@link Model#synthesize}.
 */
public final class Geometry {
  private final Builder set;

  private Geometry(Builder set) {
    this.set = set;
  }

  /** A builder in which everything is 0, and has to be set. */
  public static Builder builder() {
    return new Builder();
  }

  /** A builder that begins with these settings. */
  public Builder toBuilder() {
    return new Builder(set);
  }

  void into(reattn_geometry raw) {
    raw.setTied_embeddings(set.tiedEmbeddings ? 1 : 0);
    raw.setN_layers(set.nLayers);
    raw.setN_embd(set.nEmbd);
    raw.setN_heads(set.nHeads);
    raw.setN_kv_heads(set.nKvHeads);
    raw.setHead_dim(set.headDim);
    raw.setN_ff(set.nFf);
    raw.setN_vocab(set.nVocab);
    raw.setN_window(set.nWindow);
    raw.setRope_freq_base(set.ropeFreqBase);
    raw.setSeed(set.seed);
  }

  /** The output matrix is the embedding table. */
  public boolean tiedEmbeddings() {
    return set.tiedEmbeddings;
  }

  /** Layers. */
  public long nLayers() {
    return set.nLayers;
  }

  /** Width of the residual stream. */
  public long nEmbd() {
    return set.nEmbd;
  }

  /** Query heads. */
  public long nHeads() {
    return set.nHeads;
  }

  /** Key and value heads; divides nHeads. */
  public long nKvHeads() {
    return set.nKvHeads;
  }

  /** Numbers to a head; even. */
  public long headDim() {
    return set.headDim;
  }

  /** Width of the feed-forward layer. */
  public long nFf() {
    return set.nFf;
  }

  /** Size of the vocabulary. */
  public long nVocab() {
    return set.nVocab;
  }

  /** Tokens of the trained window. */
  public long nWindow() {
    return set.nWindow;
  }

  /** Base of the rotary positions. */
  public double ropeFreqBase() {
    return set.ropeFreqBase;
  }

  /** The same seed: the same weights; 64 bits. */
  public long seed() {
    return set.seed;
  }

  /** Collects settings. */
  public static final class Builder {
    private boolean tiedEmbeddings;
    private long nLayers;
    private long nEmbd;
    private long nHeads;
    private long nKvHeads;
    private long headDim;
    private long nFf;
    private long nVocab;
    private long nWindow;
    private double ropeFreqBase;
    private long seed;

    private Builder() {}

    private Builder(Builder other) {
      tiedEmbeddings = other.tiedEmbeddings;
      nLayers = other.nLayers;
      nEmbd = other.nEmbd;
      nHeads = other.nHeads;
      nKvHeads = other.nKvHeads;
      headDim = other.headDim;
      nFf = other.nFf;
      nVocab = other.nVocab;
      nWindow = other.nWindow;
      ropeFreqBase = other.ropeFreqBase;
      seed = other.seed;
    }

    /** The output matrix is the embedding table. */
    public Builder tiedEmbeddings(boolean tiedEmbeddings) {
      this.tiedEmbeddings = tiedEmbeddings;
      return this;
    }

    /** Layers. */
    public Builder nLayers(long nLayers) {
      this.nLayers = nLayers;
      return this;
    }

    /** Width of the residual stream. */
    public Builder nEmbd(long nEmbd) {
      this.nEmbd = nEmbd;
      return this;
    }

    /** Query heads. */
    public Builder nHeads(long nHeads) {
      this.nHeads = nHeads;
      return this;
    }

    /** Key and value heads; divides nHeads. */
    public Builder nKvHeads(long nKvHeads) {
      this.nKvHeads = nKvHeads;
      return this;
    }

    /** Numbers to a head; even. */
    public Builder headDim(long headDim) {
      this.headDim = headDim;
      return this;
    }

    /** Width of the feed-forward layer. */
    public Builder nFf(long nFf) {
      this.nFf = nFf;
      return this;
    }

    /** Size of the vocabulary. */
    public Builder nVocab(long nVocab) {
      this.nVocab = nVocab;
      return this;
    }

    /** Tokens of the trained window. */
    public Builder nWindow(long nWindow) {
      this.nWindow = nWindow;
      return this;
    }

    /** Base of the rotary positions. */
    public Builder ropeFreqBase(double ropeFreqBase) {
      this.ropeFreqBase = ropeFreqBase;
      return this;
    }

    /** The same seed: the same weights; 64 bits. */
    public Builder seed(long seed) {
      this.seed = seed;
      return this;
    }

    /** The settings; what is out of range is refused where they are used. */
    public Geometry build() {
      return new Geometry(new Builder(this));
    }
  }
}
