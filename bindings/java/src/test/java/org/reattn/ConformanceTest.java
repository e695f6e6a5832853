package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The cases that all bindings share. */
class ConformanceTest {
  /** What Java cannot say: enums are closed, and a stop text is a String. */
  private static final Set<String> LEFT_OUT =
      Set.of("enums.json", "requests.json: bad_stop_texts: add_stop hex");

  private static final double TOLERANCE = 0.01;
  private static final ObjectMapper JSON = new ObjectMapper();

  static Path folder() {
    return Path.of(System.getProperty("reattn.test.conformance"));
  }

  @TestFactory
  Stream<DynamicContainer> cases() throws IOException {
    List<DynamicContainer> files = new ArrayList<>();
    try (Stream<Path> paths = Files.list(folder().resolve("cases"))) {
      for (Path path : paths.sorted().toList()) {
        String file = path.getFileName().toString();
        if (LEFT_OUT.contains(file)) continue;
        List<DynamicTest> tests = new ArrayList<>();
        for (JsonNode one : JSON.readTree(path.toFile()).get("cases")) {
          String name = file + ": " + one.get("name").asText();
          tests.add(DynamicTest.dynamicTest(name, () -> run(name, one)));
        }
        assertFalse(tests.isEmpty(), file);
        files.add(DynamicContainer.dynamicContainer(file, tests));
      }
    }
    assertFalse(files.isEmpty());
    return files.stream();
  }

  private static void run(String name, JsonNode one) throws Exception {
    Path scratch = Files.createTempDirectory("reattn-case-");
    try (ConformanceSteps steps = new ConformanceSteps(scratch)) {
      int number = 0;
      for (JsonNode step : one.get("steps")) {
        String what = step.get("do").asText() + (step.has("hex") ? " hex" : "");
        if (!LEFT_OUT.contains(name + ": " + what)) {
          step(steps, step, "step " + number + ": " + step);
        }
        number++;
      }
    } finally {
      try (Stream<Path> left = Files.list(scratch)) {
        for (Path path : left.toList()) Files.delete(path);
      }
      Files.delete(scratch);
    }
  }

  private static void step(ConformanceSteps steps, JsonNode step, String at) throws Exception {
    JsonNode fails = step.get("fails");
    JsonNode got = null;
    try {
      got = JSON.valueToTree(steps.run(step));
    } catch (ReattnException failure) {
      if (fails == null) throw new AssertionError(at, failure);
      assertFailure(fails, "E_" + failure.code(), failure.getMessage(), at);
      return;
    } catch (InvalidPathException failure) {
      // Java's own paths hold no zero byte: refused before the library sees it.
      assertTrue(fails != null && step.get("path").asText().contains("\0"), at);
      return;
    } catch (IllegalStateException failure) {
      if (fails == null || !failure.getMessage().endsWith(" is closed")) {
        throw new AssertionError(at, failure);
      }
      assertFailure(fails, "E_HANDLE", failure.getMessage(), at);
      return;
    }
    if (fails != null) fail(at + " did not fail");
    if (step.has("expect")) assertSame(step.get("expect"), got, at);
  }

  private static void assertFailure(JsonNode fails, String code, String message, String at) {
    JsonNode codes = fails.get("code");
    boolean known = codes.asText().equals(code);
    for (JsonNode each : codes) known |= each.asText().equals(code);
    assertTrue(known, at + " failed with " + code + ": " + message);
    for (JsonNode part : fails.path("says")) {
      assertTrue(message.contains(part.asText()), at + " failed with " + code + ": " + message);
    }
  }

  /** Members that are not named in {@code expected} are not looked at. */
  private static void assertSame(JsonNode expected, JsonNode got, String at) {
    if (expected instanceof ObjectNode) {
      for (Iterator<Map.Entry<String, JsonNode>> it = expected.fields(); it.hasNext();) {
        Map.Entry<String, JsonNode> member = it.next();
        assertTrue(got.has(member.getKey()), at + " gives no " + member.getKey() + ": " + got);
        assertSame(member.getValue(), got.get(member.getKey()), at);
      }
    } else if (expected.isArray()) {
      assertEquals(expected.size(), got.size(), at + " gave " + got);
      for (int i = 0; i < expected.size(); i++) assertSame(expected.get(i), got.get(i), at);
    } else if (expected.isFloatingPointNumber()) {
      assertEquals(expected.asDouble(), got.asDouble(), TOLERANCE, at + " gave " + got);
    } else if (expected.isNumber()) {
      assertTrue(got.isNumber(), at + " gave " + got);
      assertEquals(expected.asLong(), got.asLong(), at + " gave " + got);
    } else {
      assertEquals(expected, got, at);
    }
  }
}
