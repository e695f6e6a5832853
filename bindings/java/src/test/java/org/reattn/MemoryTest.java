package org.reattn;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Thousands of objects leave the memory of the process as it was; the heap has its full size. */
@Tag("measured")
class MemoryTest {
  private static final double LIMIT_MB = 12;

  private static double rssMb() throws IOException {
    System.gc();
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
    }
    throw new IOException("no VmRSS");
  }

  private static void flat(String what, int warmUp, int n, Runnable body) throws IOException {
    for (int i = 0; i < warmUp; i++) body.run();
    double before = rssMb();
    for (int i = 0; i < n; i++) body.run();
    double after = rssMb();
    System.out.printf("%s: %.1f MB before, %.1f MB after%n", what, before, after);
    assertTrue(after - before < LIMIT_MB, what + ": " + before + " MB before, " + after + " after");
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
