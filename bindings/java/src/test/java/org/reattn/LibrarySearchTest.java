package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How the native library is found, each time in a process of its own. */
class LibrarySearchTest {
  private static final Path NATIVES = Path.of(System.getProperty("reattn.test.natives"));
  private static final Path CLASSES = classes();

  @TempDir Path folder;

  /** What the processes run: prints the version and which files are mapped. */
  static final class Main {
    public static void main(String[] args) throws IOException {
      System.out.println("version " + Reattn.version());
      try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
        maps.filter(line -> line.contains("libreattn"))
            .map(line -> line.substring(line.indexOf('/'))).distinct().forEach(System.out::println);
      }
    }
  }

  private static Path classes() {
    return Path.of(Reattn.class.getProtectionDomain().getCodeSource().getLocation().getPath());
  }

  private record Run(int status, String out) {}

  private Run run(Path binding, List<Path> more, Map<String, String> environment, String... options)
      throws Exception {
    List<Path> classPath = new ArrayList<>(List.of(binding));
    classPath.addAll(more);
    classPath.add(Path.of(Main.class.getProtectionDomain().getCodeSource().getLocation().getPath()));
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", String.join(":", classPath.stream().map(Path::toString).toList()),
        Main.class.getName()));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().remove("REATTN_LIBRARY");
    builder.environment().putAll(environment);
    Process process = builder.start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Run(process.waitFor(), out);
  }

  private static void assertFound(Run run, Path... mapped) {
    assertEquals(0, run.status, run.out);
    assertTrue(run.out.startsWith("version "), run.out);
    for (Path each : mapped) assertTrue(run.out.contains(each.toString()), run.out);
  }

  private static void assertMissing(Run run, String... said) {
    assertFalse(run.status == 0, run.out);
    assertTrue(run.out.contains("java.lang.UnsatisfiedLinkError"), run.out);
    for (String each : said) assertTrue(run.out.contains(each), each + " in " + run.out);
  }

  private static Path copy(Path from, Path folder) throws IOException {
    Files.createDirectories(folder);
    return Files.copy(from, folder.resolve(from.getFileName()));
  }

  private Path copies(String name, String... files) throws IOException {
    Path made = folder.resolve(name);
    for (String file : files) copy(NATIVES.resolve(file), made);
    return made;
  }

  @Test
  void aFolderByPropertyOrVariable() throws Exception {
    Path both = copies("both", "libreattn_jni.so", "libreattn.so.1");
    assertFound(run(CLASSES, List.of(), Map.of(), "-Dorg.reattn.library=" + both),
        both.resolve("libreattn_jni.so"), both.resolve("libreattn.so.1"));
    assertFound(run(CLASSES, List.of(), Map.of("REATTN_LIBRARY", both.toString())),
        both.resolve("libreattn_jni.so"), both.resolve("libreattn.so.1"));
    assertFound(run(CLASSES, List.of(), Map.of(),
        "-Dorg.reattn.library=" + both.resolve("libreattn_jni.so")), both);
    // The property goes before the variable.
    assertFound(run(CLASSES, List.of(), Map.of("REATTN_LIBRARY", "/nowhere"),
        "-Dorg.reattn.library=" + both), both);
  }

  /** An engine of one's own, under the JNI library of the natives jar. */
  @Test
  void anEngine() throws Exception {
    Path engine = copies("engine", "libreattn.so.1");
    Path bundled = NATIVES.getParent().getParent().getParent().getParent();
    for (String named : List.of(engine.toString(), engine.resolve("libreattn.so.1").toString())) {
      Run run = run(CLASSES, List.of(bundled), Map.of("REATTN_LIBRARY", named));
      assertFound(run, engine.resolve("libreattn.so.1"));
      assertEquals(2, run.out.lines().filter(line -> line.startsWith("/")).count(), run.out);
    }
  }

  @Test
  void besideTheBinding() throws Exception {
    Path home = copies("home", "libreattn_jni.so", "libreattn.so.1");
    Path jar = jar(home.resolve("reattn.jar"));
    assertFound(run(jar, List.of(), Map.of()), home.resolve("libreattn_jni.so"));
  }

  private static Path jar(Path jar) throws Exception {
    Process process = new ProcessBuilder(
        Path.of(System.getProperty("java.home"), "bin", "jar").toString(),
        "--create", "--file", jar.toString(), "-C", CLASSES.toString(), ".").start();
    assertEquals(0, process.waitFor());
    return jar;
  }

  /** Unpacked into a folder that nobody else can enter, and that is gone when it runs. */
  @Test
  void fromANativesJar() throws Exception {
    Path scratch = Files.createDirectories(folder.resolve("scratch"));
    Path bundled = NATIVES.getParent().getParent().getParent().getParent();
    Path jar = folder.resolve("natives.jar");
    Process process = new ProcessBuilder(
        Path.of(System.getProperty("java.home"), "bin", "jar").toString(),
        "--create", "--file", jar.toString(), "-C", bundled.toString(), ".").start();
    assertEquals(0, process.waitFor());
    Run run = run(CLASSES, List.of(jar), Map.of(), "-Dorg.reattn.tmpdir=" + scratch);
    assertFound(run, scratch);
    try (Stream<Path> left = Files.list(scratch)) {
      assertEquals(List.of(), left.toList());
    }
    // With the default folder too.
    assertFound(run(CLASSES, List.of(jar), Map.of(), "-Djava.io.tmpdir=" + scratch), scratch);
  }

  @Test
  void whatIsNotThere() throws Exception {
    assertMissing(run(CLASSES, List.of(), Map.of(), "-Djava.library.path=/nowhere"),
        "org.reattn.library", "REATTN_LIBRARY", CLASSES.resolve("libreattn_jni.so").toString(),
        "beside the binding", "no natives jar for linux-", "java.library.path");
    assertMissing(run(CLASSES, List.of(), Map.of("REATTN_LIBRARY", "/nowhere/libreattn.so")),
        "/nowhere/libreattn.so", "the environment variable REATTN_LIBRARY");
    Path empty = Files.createDirectories(folder.resolve("empty"));
    assertMissing(run(CLASSES, List.of(), Map.of(), "-Dorg.reattn.library=" + empty),
        "the folder " + empty, "libreattn_jni.so", "libreattn.so.1");
    Path text = Files.writeString(folder.resolve("libreattn.so"), "no library");
    assertMissing(run(CLASSES, List.of(), Map.of(), "-Dorg.reattn.library=" + text),
        text.toString(), "the system property org.reattn.library");
    // Who names a library gets that one or none: the natives jar is not looked at.
    Path bundled = NATIVES.getParent().getParent().getParent().getParent();
    assertMissing(run(CLASSES, List.of(bundled), Map.of("REATTN_LIBRARY", "/nowhere/x.so")),
        "/nowhere/x.so");
  }
}
