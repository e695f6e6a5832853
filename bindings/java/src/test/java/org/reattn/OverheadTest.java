package org.reattn;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.nio.file.Path;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What a token costs more than in C: both measured in turns, on a model whose tokens cost little. */
@Tag("measured")
class OverheadTest {
  private static final int ROUNDS = 8;
  private static final int GENERATIONS = 24;
  private static final int TOKENS = 400;
  private static final double LIMIT_US = 10;

  @Test
  void aToken() throws Exception {
    Geometry geometry = Geometry.builder().nLayers(1).nEmbd(32).nHeads(1).nKvHeads(1).headDim(32)
        .nFf(32).nVocab(64).nWindow(512).ropeFreqBase(10000).seed(1).build();
    try (Model model = Model.synthesize(geometry, Tiny.options())) {
      double c = Double.MAX_VALUE;
      double events = Double.MAX_VALUE;
      double tokens = Double.MAX_VALUE;
      double text = Double.MAX_VALUE;
      for (int round = 0; round < ROUNDS; round++) {
        c = Math.min(c, inC());
        for (int i = 0; i < GENERATIONS; i++) {
          events = Math.min(events, perToken(model, OverheadTest::events));
          tokens = Math.min(tokens, perToken(model, OverheadTest::tokens));
          text = Math.min(text, perToken(model, OverheadTest::text));
        }
      }
      System.out.printf("a token: %.2f us in C; Java adds %.2f us by event, %.2f us by iterator, "
          + "%.2f us by stream%n", c, events - c, tokens - c, text - c);
      double worst = Math.max(events, Math.max(tokens, text)) - c;
      assertTrue(worst <= LIMIT_US, worst + " us more than in C");
    }
  }

  private static double inC() throws Exception {
    Process process = new ProcessBuilder(
        Path.of(System.getProperty("reattn.test.build"), "token_loop").toString(),
        "" + GENERATIONS, "" + TOKENS).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    try (BufferedReader lines = process.inputReader()) {
      return lines.lines().mapToDouble(Double::parseDouble).min().orElseThrow();
    }
  }

  private interface Pull {
    void all(Generation generation, DoubleSupplier onToken);
  }

  /** Of the tokens after the first, so that reading is not counted. */
  private static double perToken(Model model, Pull pull) {
    long[] time = new long[2];
    try (Session session = model.newSession()) {
      session.append(new int[] {1, 2, 3});
      try (Generation generation = session.generate(Tiny.tokens(TOKENS))) {
        pull.all(generation, () -> {
          time[1] = System.nanoTime();
          if (time[0] == 0) time[0] = time[1];
          return 0;
        });
      }
    }
    return (time[1] - time[0]) / 1e3 / (TOKENS - 1);
  }

  private static void events(Generation generation, DoubleSupplier onToken) {
    while (true) {
      GenerationEvent event = generation.nextEvent().orElse(null);
      if (event == null) return;
      if (event instanceof Token) onToken.getAsDouble();
    }
  }

  private static void tokens(Generation generation, DoubleSupplier onToken) {
    for (Token token : generation) {
      if (token.id() != Token.NO_ID) onToken.getAsDouble();
    }
  }

  private static void text(Generation generation, DoubleSupplier onToken) {
    generation.text().forEach(piece -> onToken.getAsDouble());
  }
}
