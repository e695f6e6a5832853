package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The program in the README compiles and runs as it stands there. */
class ReadmeTest {
  @Test
  void theProgram(@TempDir Path folder) throws Exception {
    String readme = Files.readString(Path.of("README.md"));
    Matcher program = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(readme);
    assertTrue(program.find());
    Path source = Files.writeString(folder.resolve("Ask.java"), program.group(1));
    ByteArrayOutputStream complaints = new ByteArrayOutputStream();
    int status = ToolProvider.getSystemJavaCompiler().run(null, complaints, complaints,
        "-Xlint:all", "-Werror", "--release", "17", "-proc:none",
        "-classpath", System.getProperty("java.class.path"), "-d", folder.toString(),
        source.toString());
    assertEquals(0, status, complaints.toString(StandardCharsets.UTF_8));

    Path book = Files.writeString(folder.resolve("book.txt"), Tiny.DOCUMENT);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    PrintStream oldOut = System.out;
    PrintStream oldErr = System.err;
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
    try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
      loader.loadClass("Ask").getMethod("main", String[].class).invoke(null, (Object)
          new String[] {Tiny.path().toString(), book.toString(), "Which door?"});
    } finally {
      System.setOut(oldOut);
      System.setErr(oldErr);
    }
    assertTrue(out.toString(StandardCharsets.UTF_8).length() > 20, out.toString());
    String told = err.toString(StandardCharsets.UTF_8);
    assertTrue(told.contains("read ") && told.contains("recalled: "), told);
  }
}
