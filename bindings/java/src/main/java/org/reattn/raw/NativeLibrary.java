package org.reattn.raw;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Finds and loads the two native libraries: the engine, {@code libreattn.so}, and the JNI library
 * over it, {@code libreattn_jni.so}, which lies beside the engine or in a natives jar.
 */
public final class NativeLibrary {
  static final String PROPERTY = "org.reattn.library";
  static final String VARIABLE = "REATTN_LIBRARY";
  private static final String TMPDIR_PROPERTY = "org.reattn.tmpdir";

  private static final String JNI = System.mapLibraryName("reattn_jni");
  private static final String ENGINE_SONAME = "libreattn.so." + RawConstants.REATTN_ABI_VERSION;
  private static final List<String> ENGINES = List.of(ENGINE_SONAME, "libreattn.so");

  /** Not the class itself, whose resources would be those of its own jar or module alone. */
  private static final ClassLoader LOADER = NativeLibrary.class.getClassLoader();

  /** What was tried and why it was not it, for the message when nothing is found. */
  private final List<String> tried = new ArrayList<>();

  private boolean hasEngine;

  private NativeLibrary() {}

  /** Called once, when {@link RawJNI} is initialised. */
  static void load() {
    new NativeLibrary().search();
    int abi = RawJNI.reattn_abi_version();
    if (abi != RawConstants.REATTN_ABI_VERSION) {
      throw new UnsatisfiedLinkError("the reattn library that was loaded has ABI " + abi
          + "; this binding is for ABI " + RawConstants.REATTN_ABI_VERSION);
    }
  }

  /** As in the classifier of the natives jar, such as "linux-x86_64". */
  static String platform() {
    String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    return os + "-" + (arch.equals("amd64") ? "x86_64" : arch);
  }

  private void search() {
    String explicit = System.getProperty(PROPERTY);
    String source = "the system property " + PROPERTY;
    if (explicit == null || explicit.isEmpty()) {
      explicit = System.getenv(VARIABLE);
      source = "the environment variable " + VARIABLE;
    }
    if (explicit != null && !explicit.isEmpty()) {
      // Who names a library means that one: another in its place would be a surprise.
      if (loadExplicit(Path.of(explicit).toAbsolutePath(), source)) return;
    } else {
      tried.add("the system property " + PROPERTY + " and the environment variable " + VARIABLE
          + ": not set");
      if (loadJni()) return;
    }
    throw new UnsatisfiedLinkError("the reattn library was not found or could not be loaded; "
        + "looked at:\n  " + String.join("\n  ", tried));
  }

  private boolean loadExplicit(Path path, String source) {
    if (Files.isDirectory(path)) {
      if (loadFolder(path, source)) return true;
      for (String engine : ENGINES) {
        Path file = path.resolve(engine);
        if (Files.isRegularFile(file)) return loadEngine(file, source);
      }
      tried.add("the folder " + path + " (" + source + "): holds neither " + JNI + " nor "
          + String.join(" nor ", ENGINES));
      return false;
    }
    if (path.getFileName() != null && path.getFileName().toString().equals(JNI)) {
      return loadFile(path, source);
    }
    return loadEngine(path, source);
  }

  /** An engine by itself: the JNI library then comes from where it is found. */
  private boolean loadEngine(Path engine, String source) {
    if (!loadFile(engine, source)) return false;
    hasEngine = true;
    Path folder = engine.getParent();
    return (folder != null && loadFolder(folder, "beside the engine")) || loadJni();
  }

  private boolean loadJni() {
    Path home = home();
    if (home != null && loadFolder(home, "beside the binding")) return true;
    return loadBundled() || loadByName();
  }

  /** Both from one folder; the JNI library finds the engine beside itself. */
  private boolean loadFolder(Path folder, String source) {
    Path jni = folder.resolve(JNI);
    if (Files.isRegularFile(jni)) return loadFile(jni, source);
    tried.add(jni + " (" + source + "): no such file");
    return false;
  }

  private boolean loadFile(Path file, String source) {
    try {
      System.load(file.toString());
      return true;
    } catch (UnsatisfiedLinkError error) {
      tried.add(file + " (" + source + "): " + error.getMessage());
      return false;
    }
  }

  private boolean loadByName() {
    try {
      System.loadLibrary("reattn_jni");
      return true;
    } catch (UnsatisfiedLinkError error) {
      tried.add(JNI + " by the system property java.library.path: " + error.getMessage());
      return false;
    }
  }

  /** The folder of the jar or of the classes; null where they come from elsewhere. */
  private static Path home() {
    try {
      CodeSource code = NativeLibrary.class.getProtectionDomain().getCodeSource();
      if (code == null || code.getLocation() == null) return null;
      URI location = code.getLocation().toURI();
      if (!"file".equals(location.getScheme())) return null;
      Path path = Path.of(location);
      return Files.isDirectory(path) ? path : path.getParent();
    } catch (Exception unreadable) {
      return null;
    }
  }

  /**
   * From a natives jar, by way of a folder that only this user can enter and that is gone when this
   * returns: a loaded library needs no file.
   */
  private boolean loadBundled() {
    String base = "org/reattn/natives/" + platform() + "/";
    if (LOADER.getResource(base + JNI) == null) {
      tried.add("the class path: no natives jar for " + platform() + " (" + base + JNI + ")");
      return false;
    }
    String source = "from the natives jar";
    Path folder = null;
    try {
      String parent = System.getProperty(TMPDIR_PROPERTY);
      folder = parent == null ? Files.createTempDirectory("reattn-")
          : Files.createTempDirectory(Path.of(parent), "reattn-");
      Path engine = hasEngine ? null : extract(base, ENGINE_SONAME, folder);
      Path jni = extract(base, JNI, folder);
      boolean loaded = (engine == null || loadFile(engine, source)) && loadFile(jni, source);
      if (!loaded) {
        tried.add("(if " + folder.getParent() + " is mounted noexec, set the system property "
            + TMPDIR_PROPERTY + " to another folder)");
      }
      return loaded;
    } catch (IOException error) {
      tried.add("the natives jar: could not be unpacked: " + error);
      return false;
    } finally {
      delete(folder);
    }
  }

  /** Null where the jar has no such file. */
  private static Path extract(String base, String name, Path folder) throws IOException {
    try (InputStream in = LOADER.getResourceAsStream(base + name)) {
      if (in == null) return null;
      Path file = folder.resolve(name);
      Files.copy(in, file);
      return file;
    }
  }

  private static void delete(Path folder) {
    if (folder == null) return;
    try {
      Files.deleteIfExists(folder.resolve(JNI));
      Files.deleteIfExists(folder.resolve(ENGINE_SONAME));
      Files.deleteIfExists(folder);
    } catch (IOException stays) {
      // The system's own cleaning of temporary folders takes it.
    }
  }
}
