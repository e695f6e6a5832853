package org.reattn;

import java.util.Objects;
import org.reattn.raw.Raw;
import org.reattn.raw.reattn_model_options;

/**
 * How a model is opened.
 */
public final class ModelOptions {
  private final Builder set;

  private ModelOptions(Builder set) {
    this.set = set;
  }

  /** A builder that begins with the defaults. */
  public static Builder builder() {
    try (reattn_model_options raw = new reattn_model_options()) {
      Raw.reattn_model_options_init(raw);
      return new Builder(raw);
    }
  }

  /** A builder that begins with these settings. */
  public Builder toBuilder() {
    return new Builder(set);
  }

  void into(reattn_model_options raw) {
    raw.setDevice(set.device.value);
    raw.setN_threads(set.nThreads);
    raw.setHeader_only(set.headerOnly ? 1 : 0);
    raw.setDevice_index(set.deviceIndex);
    raw.setWeights(set.weights.value);
  }

  /** Where it runs; by default {@link Device#AUTO}. */
  public Device device() {
    return set.device;
  }

  /**
   * Threads of the CPU pool, the caller included; 0, the default: as many as the process may use.
   * Results do not depend on it.
   */
  public int nThreads() {
    return set.nThreads;
  }

  /**
   * Read and check the header alone, no weights and no tokenizer: for info, metadata, estimates and
   * session options.
   */
  public boolean headerOnly() {
    return set.headerOnly;
  }

  /** Which CUDA device, from 0. */
  public int deviceIndex() {
    return set.deviceIndex;
  }

  /** What the weights are held in; by default {@link Weights#AUTO}. */
  public Weights weights() {
    return set.weights;
  }

  /** Collects settings. */
  public static final class Builder {
    private Device device;
    private int nThreads;
    private boolean headerOnly;
    private int deviceIndex;
    private Weights weights;

    private Builder(reattn_model_options raw) {
      device = Device.of(raw.getDevice());
      nThreads = raw.getN_threads();
      headerOnly = raw.getHeader_only() != 0;
      deviceIndex = raw.getDevice_index();
      weights = Weights.of(raw.getWeights());
    }

    private Builder(Builder other) {
      device = other.device;
      nThreads = other.nThreads;
      headerOnly = other.headerOnly;
      deviceIndex = other.deviceIndex;
      weights = other.weights;
    }

    /** Where it runs; by default {@link Device#AUTO}. */
    public Builder device(Device device) {
      this.device = Objects.requireNonNull(device, "device");
      return this;
    }

    /**
     * Threads of the CPU pool, the caller included; 0, the default: as many as the process may use.
     * Results do not depend on it.
     */
    public Builder nThreads(int nThreads) {
      this.nThreads = nThreads;
      return this;
    }

    /**
     * Read and check the header alone, no weights and no tokenizer: for info, metadata, estimates
     * and session options.
     */
    public Builder headerOnly(boolean headerOnly) {
      this.headerOnly = headerOnly;
      return this;
    }

    /** Which CUDA device, from 0. */
    public Builder deviceIndex(int deviceIndex) {
      this.deviceIndex = deviceIndex;
      return this;
    }

    /** What the weights are held in; by default {@link Weights#AUTO}. */
    public Builder weights(Weights weights) {
      this.weights = Objects.requireNonNull(weights, "weights");
      return this;
    }

    /** The settings; what is out of range is refused where they are used. */
    public ModelOptions build() {
      return new ModelOptions(new Builder(this));
    }
  }
}
