package org.reattn.service;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.stream.Stream;
import org.reattn.Model;
import org.reattn.ReattnException;
import org.reattn.Session;
import org.reattn.Snapshot;

/**
 * Documents that were read, in one folder: the text, the snapshot, and last what is said about both.
 * Names of files are this class's own; what clients say is only ever looked up.
 */
final class Documents implements AutoCloseable {
  /**
   * What is said about a document.
   *
   * @param id its name here
   * @param title as the client calls it; shown, never a path
   * @param created seconds since 1970
   * @param bytes of its text
   * @param beginToken position of its first token in the snapshot
   * @param endToken position after its last
   */
  record Document(String id, String title, long created, long bytes,
      @JsonProperty("begin_token") long beginToken, @JsonProperty("end_token") long endToken) {}

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String ABOUT = ".json";

  private final Model model;
  private final Path folder;
  private final Map<String, Document> known = new ConcurrentSkipListMap<>();
  /** In the order of their last use. */
  private final LinkedHashMap<String, Snapshot> open = new LinkedHashMap<>(16, 0.75f, true);
  private final int maxOpen;
  private final SecureRandom random = new SecureRandom();

  Documents(Model model, Path folder, int maxOpen) throws IOException {
    this.model = model;
    this.folder = Files.createDirectories(folder);
    this.maxOpen = maxOpen;
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(each -> each.toString().endsWith(ABOUT)).toList()) {
        Document document = JSON.readValue(file.toFile(), Document.class);
        known.put(document.id(), document);
      }
    }
  }

  List<Document> all() {
    return new ArrayList<>(known.values());
  }

  Optional<Document> find(String id) {
    return Optional.ofNullable(known.get(id));
  }

  /** Keeps what was read; it exists for others once all three files do. Takes the snapshot over. */
  Document add(String title, String text, Snapshot snapshot, long beginToken, long endToken) {
    byte[] name = new byte[12];
    random.nextBytes(name);
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    Document document = new Document("doc-" + HexFormat.of().formatHex(name), title,
        System.currentTimeMillis() / 1000, utf8.length, beginToken, endToken);
    try {
      snapshot.save(file(document, ".snapshot"));
      write(file(document, ".txt"), utf8);
      write(file(document, ABOUT), JSON.writeValueAsBytes(document));
    } catch (IOException | RuntimeException failure) {
      snapshot.close();
      RuntimeException told = failure instanceof IOException disk
          ? new UncheckedIOException(disk) : (RuntimeException) failure;
      try {
        erase(document);
      } catch (UncheckedIOException more) {
        told.addSuppressed(more);
      }
      throw told;
    }
    synchronized (open) {
      keepOpen(document.id(), snapshot);
    }
    known.put(document.id(), document);
    return document;
  }

  /** Whole or not at all. */
  private void write(Path file, byte[] content) throws IOException {
    Path part = Files.createTempFile(folder, "part-", null);
    try {
      Files.write(part, content);
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(part);
    }
  }

  String text(Document document) {
    try {
      return Files.readString(file(document, ".txt"));
    } catch (IOException failure) {
      throw known.containsKey(document.id()) ? new UncheckedIOException(failure) : unknown();
    }
  }

  /** What is said of a document that is not there, or no more. */
  static Refused unknown() {
    return new Refused(404, "document_not_found", "there is no document of this id");
  }

  /** A session on it is made at once: the snapshot may be closed later, the session goes on. */
  Session session(Document document) {
    synchronized (open) {
      Snapshot snapshot = open.get(document.id());
      if (snapshot != null) return model.newSession(snapshot);
    }
    // Not under the lock, which all documents share; of two that come to this at once, one is kept.
    Snapshot snapshot;
    try {
      snapshot = model.openSnapshot(file(document, ".snapshot"));
    } catch (ReattnException failure) {
      throw known.containsKey(document.id()) ? failure : unknown();
    }
    boolean kept = false;
    try {
      Session session = model.newSession(snapshot);
      synchronized (open) {
        // delete() forgets the document before it takes the lock.
        kept = known.containsKey(document.id()) && !open.containsKey(document.id());
        if (kept) keepOpen(document.id(), snapshot);
      }
      return session;
    } finally {
      if (!kept) snapshot.close();
    }
  }

  private void keepOpen(String id, Snapshot snapshot) {
    open.put(id, snapshot);
    while (open.size() > maxOpen) {
      String oldest = open.keySet().iterator().next();
      open.remove(oldest).close();
    }
  }

  void delete(Document document) {
    known.remove(document.id());
    synchronized (open) {
      Snapshot snapshot = open.remove(document.id());
      if (snapshot != null) snapshot.close();
    }
    erase(document);
  }

  private void erase(Document document) {
    try {
      for (String end : List.of(ABOUT, ".txt", ".snapshot")) {
        Files.deleteIfExists(file(document, end));
      }
    } catch (IOException failure) {
      throw new UncheckedIOException(failure);
    }
  }

  private Path file(Document document, String end) {
    return folder.resolve(document.id() + end);
  }

  @Override
  public void close() {
    synchronized (open) {
      open.values().forEach(Snapshot::close);
      open.clear();
    }
  }
}
