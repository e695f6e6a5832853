package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.reattn.raw.Raw;
import org.reattn.raw.RawConstants;

/** All that reattn.h has is used: the raw layer follows it by itself, the one above by hand. */
class CoverageTest {
  /** What has no meaning yet, or none in Java: codes have names by themselves. */
  private static final Set<String> UNUSED = Set.of(
      "REATTN_OK", "reattn_status_name", "reattn_session_options.setReserved",
      "reattn_model_info.getReserved");

  private static String sources() throws IOException {
    StringBuilder all = new StringBuilder();
    try (Stream<Path> paths = Files.list(Path.of("src/main/java/org/reattn"))) {
      for (Path path : paths.filter(each -> each.toString().endsWith(".java")).toList()) {
        all.append(Files.readString(path));
      }
    }
    return all.toString();
  }

  private static boolean uses(String sources, String name) {
    return Pattern.compile("\\b" + Pattern.quote(name) + "\\b").matcher(sources).find();
  }

  @Test
  void everyFunction() throws IOException {
    String sources = sources() + Files.readString(
        Path.of("src/main/java/org/reattn/raw/NativeLibrary.java"));
    List<String> missing = new ArrayList<>();
    int n = 0;
    for (Method method : Raw.class.getDeclaredMethods()) {
      n++;
      if (!uses(sources, method.getName()) && !UNUSED.contains(method.getName())) {
        missing.add(method.getName());
      }
    }
    assertEquals(List.of(), missing);
    assertTrue(n > 40, n + " functions");
  }

  /** Against the header itself, in case SWIG leaves something out. */
  @Test
  void everyFunctionOfTheHeader() throws IOException {
    String cache = Files.readString(
        Path.of(System.getProperty("reattn.test.build"), "CMakeCache.txt"));
    Matcher prefix = Pattern.compile("(?m)^reattn_DIR:PATH=(.*)$").matcher(cache);
    assertTrue(prefix.find());
    Path header = Path.of(prefix.group(1)).resolve("../../../include/reattn/reattn.h").normalize();
    Matcher declared =
        Pattern.compile("REATTN_API [^(]*?(reattn_\\w+)\\(").matcher(Files.readString(header));
    Set<String> raw = new TreeSet<>();
    for (Method method : Raw.class.getDeclaredMethods()) raw.add(method.getName());
    Set<String> wanted = new TreeSet<>();
    while (declared.find()) wanted.add(declared.group(1));
    wanted.removeIf(name -> name.startsWith("reattn_error_")); // become ReattnException
    assertEquals(wanted, raw);
  }

  @Test
  void everyConstant() throws Exception {
    String sources = sources() + Files.readString(
        Path.of("src/main/java/org/reattn/raw/NativeLibrary.java"));
    List<String> missing = new ArrayList<>();
    for (Field field : RawConstants.class.getDeclaredFields()) {
      if (!uses(sources, field.getName()) && !UNUSED.contains(field.getName())) {
        missing.add(field.getName());
      }
    }
    assertEquals(List.of(), missing);
  }

  /** Options are set, and what comes out is read. */
  @Test
  void everyField() throws Exception {
    List<String> missing = new ArrayList<>();
    int n = 0;
    Path raw = Path.of(System.getProperty("reattn.test.build"), "java/org/reattn/raw");
    try (Stream<Path> paths = Files.list(raw)) {
      for (Path path : paths.sorted().toList()) {
        String struct = path.getFileName().toString().replace(".java", "");
        if (!struct.startsWith("reattn_")) continue;
        boolean in = struct.endsWith("_options") || struct.equals("reattn_geometry");
        String users = usersOf(struct);
        for (Method method : Class.forName("org.reattn.raw." + struct).getDeclaredMethods()) {
          if (!method.getName().startsWith(in ? "set" : "get")
              || !Modifier.isPublic(method.getModifiers())) {
            continue;
          }
          n++;
          String name = struct + "." + method.getName();
          // How long a message is, is told by "needed" too.
          if (name.equals("reattn_log_event.getText_bytes")) continue;
          if (!uses(users, method.getName()) && !UNUSED.contains(name)) missing.add(name);
        }
      }
    }
    assertEquals(List.of(), missing);
    assertTrue(n > 90, n + " fields");
  }

  private static String usersOf(String struct) throws IOException {
    StringBuilder all = new StringBuilder();
    try (Stream<Path> paths = Files.list(Path.of("src/main/java/org/reattn"))) {
      for (Path path : paths.filter(Files::isRegularFile).toList()) {
        String source = Files.readString(path);
        if (uses(source, struct)) all.append(source);
      }
    }
    return all.toString();
  }
}
