package org.reattn;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Thousands of objects leave the memory of the process as it was; the heap has its full size. */
@Tag("measured")
class MemoryTest {
  private static final double LIMIT_MB = 12;
  private static final int ROUNDS = 5;

  /** Memory of this process in RAM that no file holds. */
  private static double anonymousMb() throws IOException {
    System.gc();
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("RssAnon:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
    }
    throw new IOException("no RssAnon");
  }

  /**
   * What is lost is lost in every round, while compiled code, threads and their arenas come when
   * they come, some in a few of them: the second least growth counts, as if all had been like it.
   */
  private static void flat(String what, int warmUp, int n, Runnable body) throws IOException {
    for (int i = 0; i < warmUp; i++) body.run();
    double[] growths = new double[ROUNDS];
    double first = anonymousMb();
    double before = first;
    for (int round = 0; round < ROUNDS; round++) {
      for (int i = 0; i < n / ROUNDS; i++) body.run();
      double after = anonymousMb();
      growths[round] = Math.round((after - before) * 10) / 10.0;
      before = after;
    }
    String seen = String.format("%s: %.1f MB before, %.1f MB after, by round %s",
        what, first, before, Arrays.toString(growths));
    System.out.println(seen);
    Arrays.sort(growths);
    assertTrue(growths[1] * ROUNDS < LIMIT_MB, seen);
  }

  @Test
  void openingAndClosing() throws IOException {
    flat("10,000 models and sessions", 1_500, 10_000, () -> {
      try (Model model = Tiny.open(); Session session = model.newSession()) {
        session.append("Tea");
      }
    });
  }

  @Test
  void generating() throws IOException {
    try (Model model = Tiny.open(); Session document = Tiny.session(model)) {
      document.append(Tiny.DOCUMENT);
      document.read();
      flat("1,000 generations", 300, 1_000, () -> {
        try (Session fork = document.fork()) {
          fork.append("\nWhich door? ");
          try (Generation generation = fork.generate(Tiny.tokens(30))) {
            generation.answer();
            generation.recalled();
          }
        }
      });
    }
  }

  /** Nothing is closed by hand, but for the collector's help: it does not see native memory grow. */
  @Test
  void forgetting() throws IOException {
    try (Model model = Tiny.open(); Session document = Tiny.session(model)) {
      document.append(Tiny.DOCUMENT);
      document.read();
      int[] n = {0};
      flat("1,000 forgotten generations", 300, 1_000, () -> {
        Session fork = document.fork();
        fork.append("\nWhich door? ");
        fork.generate(Tiny.tokens(3)).answer();
        if (++n[0] % 20 == 0) System.gc();
      });
    }
  }

  /** Failures make objects too. */
  @Test
  void failing() throws IOException {
    try (Model model = Tiny.open()) {
      flat("100,000 failures", 20_000, 100_000, () -> {
        try {
          model.detokenize(-1);
        } catch (ReattnException expected) {
          return;
        }
        throw new AssertionError();
      });
    }
  }
}
