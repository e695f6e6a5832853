package org.reattn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Text is exact, in both directions, in contents, messages and paths. */
class TextTest {
  private static final String ODD = "naïve 😀 日本語 \0 zero <|im_end|> 👨‍👩‍👧 \uFFFD \uFEFF é\r\n";

  private static Model model;

  @BeforeAll
  static void open() {
    model = Tiny.open();
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @Test
  void thereAndBack() {
    assertEquals(ODD, model.detokenize(model.tokenize(ODD)));
    assertArrayEquals(
        model.tokenize(ODD), model.tokenize(ODD.getBytes(StandardCharsets.UTF_8), false));
    try (Session session = Tiny.session(model)) {
      session.append(ODD);
      session.read();
      assertEquals(ODD, session.text(0, session.info().nTokens()));
    }
  }

  /** No UTF-8 stands for half a surrogate pair; a question mark in its place would be another text. */
  @Test
  void halfAPairIsRefused() {
    String half = "ab😀".substring(0, 3) + "c";
    IllegalArgumentException failure =
        assertThrows(IllegalArgumentException.class, () -> model.tokenize(half));
    assertTrue(failure.getMessage().contains("index 2"), failure.getMessage());
    try (Session session = Tiny.session(model)) {
      assertThrows(IllegalArgumentException.class, () -> session.append(half));
      assertThrows(IllegalArgumentException.class,
          () -> session.append(List.of(ChatMessage.user(half))));
      assertEquals(0, session.info().nPending());
    }
  }

  @Test
  void aConversationIsQuotedExactly() {
    String content = "\"quoted\\\" \u0001\u001f\t\n" + ODD;
    String rendered = model.renderChat(
        List.of(ChatMessage.system("s"), ChatMessage.user(content), ChatMessage.assistant("a")),
        false);
    assertTrue(rendered.contains(content), rendered);
    assertEquals(rendered,
        model.detokenize(model.tokenizeChat(
            List.of(ChatMessage.system("s"), ChatMessage.user(content), ChatMessage.assistant("a")),
            false)));
  }

  /** However the pieces of a stream fall, inside characters too, it is one append. */
  @Test
  void streamsOfBytes() throws IOException {
    String text = ODD.repeat(20_000); // several pieces
    try (Session whole = Tiny.session(model); Session pieces = Tiny.session(model)) {
      whole.append(text);
      pieces.append(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
      assertEquals(whole.info().nPending(), pieces.info().nPending());
    }
  }

  @Test
  void aStreamThatFailsLeavesNothingQueued() {
    InputStream failing = new SequenceInputStream(
        new ByteArrayInputStream(new byte[300_000]), new InputStream() {
          @Override
          public int read() throws IOException {
            throw new IOException("gone");
          }
        });
    try (Session session = Tiny.session(model)) {
      assertEquals("gone",
          assertThrows(IOException.class, () -> session.append(failing)).getMessage());
      InputStream cut = new ByteArrayInputStream(new byte[] {'a', (byte) 0xf0, (byte) 0x9f});
      assertEquals(ErrorCode.ARG,
          assertThrows(ReattnException.class, () -> session.append(cut)).code());
      assertEquals(0, session.info().nPending());
      session.append("Tea");
      assertEquals(DoneReason.READ, session.read().reason());
      assertEquals("Tea", session.text(0, session.info().nTokens()));
    }
  }

  @Test
  void pathsAreExact(@TempDir Path folder) throws IOException {
    Path odd = folder.resolve("modèle 😀 %41+#?.gguf");
    Files.copy(Tiny.path(), odd);
    try (Model same = Model.open(odd, Tiny.options()); Session session = Tiny.session(same)) {
      session.append("Tea");
      session.read();
      Path saved = folder.resolve("日本語 %2F.snapshot");
      try (Snapshot snapshot = session.snapshot()) {
        snapshot.save(saved);
      }
      assertTrue(Files.size(saved) > 0);
      try (Snapshot opened = same.openSnapshot(saved)) {
        assertEquals(session.info().nTokens(), opened.info().nTokens());
      }
    }
    Path missing = folder.resolve("日本語 😀");
    ReattnException failure =
        assertThrows(ReattnException.class, () -> Model.open(missing, Tiny.options()));
    assertEquals(ErrorCode.IO, failure.code());
    assertTrue(failure.getMessage().contains(missing.toString()), failure.getMessage());
    assertTrue(failure.toString().startsWith("org.reattn.ReattnException: IO: "));
  }

  @Test
  void metadata() {
    Map<String, String> metadata = model.metadata();
    assertEquals(model.info().nMetadata(), metadata.size());
    assertEquals("tiny random llama", metadata.get("general.name"));
    assertEquals("general.architecture", metadata.keySet().iterator().next());
  }
}
