package org.reattn;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.reattn.raw.Raw;
import org.reattn.raw.reattn_request_options;

/**
 * How an answer is generated.
 */
public final class GenerationOptions {
  private final Builder set;

  private GenerationOptions(Builder set) {
    this.set = set;
  }

  /** A builder that begins with the defaults. */
  public static Builder builder() {
    try (reattn_request_options raw = new reattn_request_options()) {
      Raw.reattn_request_options_init(raw);
      return new Builder(raw);
    }
  }

  /** A builder that begins with these settings. */
  public Builder toBuilder() {
    return new Builder(set);
  }

  void into(reattn_request_options raw) {
    raw.setIgnore_end(set.ignoreEnd ? 1 : 0);
    raw.setMax_tokens(set.maxTokens);
    raw.setTemperature(set.temperature);
    raw.setTop_k(set.topK);
    raw.setTop_p(set.topP);
    raw.setMin_p(set.minP);
    raw.setSeed(set.seed);
    raw.setRepetition_penalty(set.repetitionPenalty);
    raw.setRepetition_window(set.repetitionWindow);
  }

  /** Go on past the tokens that end an answer. */
  public boolean ignoreEnd() {
    return set.ignoreEnd;
  }

  /** Tokens to generate at most; 0, the default: only read what is queued. */
  public long maxTokens() {
    return set.maxTokens;
  }

  /** 0, the default: always the most likely token, and the rest below means nothing. */
  public float temperature() {
    return set.temperature;
  }

  /** Among the topK most likely; 0, the default: off. */
  public int topK() {
    return set.topK;
  }

  /** Among the most likely ones that sum up to topP; 1, the default: off. */
  public float topP() {
    return set.topP;
  }

  /** Among those at least minP times as likely as the best; 0, the default: off. */
  public float minP() {
    return set.minP;
  }

  /** Same input, settings and seed: the same tokens; 64 bits. */
  public long seed() {
    return set.seed;
  }

  /**
   * Logits of the tokens that are among the session's last repetitionWindow are divided by it where
   * they are positive and multiplied by it where not, also with temperature 0; 1, the default: off.
   */
  public float repetitionPenalty() {
    return set.repetitionPenalty;
  }

  /** 64 is the default; 0: all of them. */
  public int repetitionWindow() {
    return set.repetitionWindow;
  }

  /** Texts that end the answer where they appear in it, and are not delivered. */
  public List<String> stops() {
    return set.stops;
  }

  /** The JSON schema whose text the answer is; empty, the default: any text. */
  public Optional<String> jsonSchema() {
    return Optional.ofNullable(set.jsonSchema);
  }

  /** Collects settings. */
  public static final class Builder {
    private boolean ignoreEnd;
    private long maxTokens;
    private float temperature;
    private int topK;
    private float topP;
    private float minP;
    private long seed;
    private float repetitionPenalty;
    private int repetitionWindow;
    private List<String> stops = List.of();
    private String jsonSchema;

    private Builder(reattn_request_options raw) {
      ignoreEnd = raw.getIgnore_end() != 0;
      maxTokens = raw.getMax_tokens();
      temperature = raw.getTemperature();
      topK = raw.getTop_k();
      topP = raw.getTop_p();
      minP = raw.getMin_p();
      seed = raw.getSeed();
      repetitionPenalty = raw.getRepetition_penalty();
      repetitionWindow = raw.getRepetition_window();
    }

    private Builder(Builder other) {
      ignoreEnd = other.ignoreEnd;
      maxTokens = other.maxTokens;
      temperature = other.temperature;
      topK = other.topK;
      topP = other.topP;
      minP = other.minP;
      seed = other.seed;
      repetitionPenalty = other.repetitionPenalty;
      repetitionWindow = other.repetitionWindow;
      stops = other.stops;
      jsonSchema = other.jsonSchema;
    }

    /** Go on past the tokens that end an answer. */
    public Builder ignoreEnd(boolean ignoreEnd) {
      this.ignoreEnd = ignoreEnd;
      return this;
    }

    /** Tokens to generate at most; 0, the default: only read what is queued. */
    public Builder maxTokens(long maxTokens) {
      this.maxTokens = maxTokens;
      return this;
    }

    /** 0, the default: always the most likely token, and the rest below means nothing. */
    public Builder temperature(float temperature) {
      this.temperature = temperature;
      return this;
    }

    /** Among the topK most likely; 0, the default: off. */
    public Builder topK(int topK) {
      this.topK = topK;
      return this;
    }

    /** Among the most likely ones that sum up to topP; 1, the default: off. */
    public Builder topP(float topP) {
      this.topP = topP;
      return this;
    }

    /** Among those at least minP times as likely as the best; 0, the default: off. */
    public Builder minP(float minP) {
      this.minP = minP;
      return this;
    }

    /** Same input, settings and seed: the same tokens; 64 bits. */
    public Builder seed(long seed) {
      this.seed = seed;
      return this;
    }

    /**
     * Logits of the tokens that are among the session's last repetitionWindow are divided by it
     * where they are positive and multiplied by it where not, also with temperature 0; 1, the
     * default: off.
     */
    public Builder repetitionPenalty(float repetitionPenalty) {
      this.repetitionPenalty = repetitionPenalty;
      return this;
    }

    /** 64 is the default; 0: all of them. */
    public Builder repetitionWindow(int repetitionWindow) {
      this.repetitionWindow = repetitionWindow;
      return this;
    }

    /** A JSON schema: the answer is one JSON text that it allows; not with ignoreEnd. */
    public Builder jsonSchema(String schema) {
      jsonSchema = Objects.requireNonNull(schema, "schema");
      return this;
    }

    /**
     * Another text (1 to 1,024 bytes of UTF-8) that ends the answer where it appears in it, also
     * across tokens, and is not delivered.
     */
    public Builder stop(String text) {
      List<String> longer = new ArrayList<>(stops);
      longer.add(Objects.requireNonNull(text, "text"));
      stops = List.copyOf(longer);
      return this;
    }

    /** The settings; what is out of range is refused where they are used. */
    public GenerationOptions build() {
      return new GenerationOptions(new Builder(this));
    }
  }
}
