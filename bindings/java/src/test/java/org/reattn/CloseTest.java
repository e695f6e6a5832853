package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Closing: in any order, from any thread, twice, and by nobody. */
class CloseTest {
  private static final Duration LONG = Duration.ofSeconds(60);

  @Test
  void aClosedObjectSaysSo() {
    Model model = Tiny.open();
    Session session = Tiny.session(model);
    session.append(Tiny.DOCUMENT);
    session.read();
    Snapshot snapshot = session.snapshot();
    SessionOptions settings = Tiny.settings(model);
    Generation generation = session.generate(Tiny.tokens(1));
    GenerationQueue queue = model.newQueue();
    for (Handle each : List.of(model, session, snapshot, generation, queue)) {
      each.close();
      each.close();
    }
    List<Executable> uses = List.of(
        model::info, model::metadata, model::newSession, model::newQueue,
        () -> model.tokenize("x"), () -> model.detokenize(1), () -> model.estimate(settings, 1),
        () -> model.tokenizeChat(List.of(ChatMessage.user("x")), true),
        () -> model.renderChat(List.of(ChatMessage.user("x")), true),
        () -> SessionOptions.builder(model), () -> model.newSession(snapshot),
        session::info, session::fork, session::snapshot, session::read,
        () -> session.append("x"), () -> session.append(new int[] {1}),
        () -> session.append(List.of(ChatMessage.user("x"))),
        () -> session.append(new java.io.ByteArrayInputStream(new byte[3])),
        () -> session.tokens(0, 1), () -> session.text(0, 1), () -> session.logprobs(0, 1),
        () -> session.truncate(0), () -> session.generate(Tiny.tokens(1)),
        snapshot::info, () -> snapshot.save(Tiny.path().resolveSibling("never")),
        generation::nextEvent, generation::answer, generation::finish, generation::cancel,
        generation::recalled, generation::logits, generation::stats, () -> generation.addStop("x"),
        () -> generation.setJsonSchema("{}"),
        () -> generation.iterator().hasNext(), () -> generation.text().toList(),
        queue::next, () -> queue.add(generation));
    for (int i = 0; i < uses.size(); i++) {
      IllegalStateException failure =
          assertThrows(IllegalStateException.class, uses.get(i), "use " + i);
      assertTrue(failure.getMessage().endsWith(" is closed"), "use " + i + ": " + failure);
    }
  }

  @Test
  void anyOrderIsSafe() {
    for (int seed = 0; seed < 40; seed++) {
      Model model = Tiny.open();
      Session session = Tiny.session(model);
      session.append("The north door opens with 4711");
      session.read();
      Snapshot snapshot = session.snapshot();
      Session second = model.newSession(snapshot);
      Session fork = session.fork();
      Generation first = fork.generate(Tiny.tokens(3));
      Generation queued = second.generate(Tiny.tokens(3));
      GenerationQueue queue = model.newQueue();
      queue.add(queued);
      List<Handle> all =
          new ArrayList<>(List.of(model, session, snapshot, second, fork, queued, queue));
      Collections.shuffle(all, new Random(seed));
      for (Handle each : all) each.close();
      assertEquals(3, first.tokens().filter(token -> token.id() >= 0).count());
      first.close();
    }
  }

  @Test
  void closingDuringAPullEndsIt() {
    assertTimeoutPreemptively(LONG, () -> {
      try (Model model = Tiny.open(); Session session = Tiny.session(model)) {
        session.append("Tea");
        Generation endless = session.generate(Tiny.tokens(100_000_000));
        CountDownLatch running = new CountDownLatch(1);
        AtomicReference<Throwable> ended = new AtomicReference<>();
        Thread puller = new Thread(() -> {
          try {
            for (Token token : endless) running.countDown();
          } catch (Throwable failure) {
            ended.set(failure);
          }
        });
        puller.start();
        running.await();
        endless.close();
        puller.join();
        // Between two pulls it finds itself closed, within one it gets the last event.
        Throwable failure = ended.get();
        assertTrue(failure == null || failure instanceof IllegalStateException, "" + failure);
        session.append(" and oranges");
        assertEquals(DoneReason.READ, session.read().reason());
      }
    });
  }

  @Test
  void cancellingFromAnotherThread() {
    assertTimeoutPreemptively(LONG, () -> {
      try (Model model = Tiny.open(); Session session = Tiny.session(model)) {
        session.append("Tea");
        try (Generation endless = session.generate(Tiny.tokens(100_000_000))) {
          CountDownLatch running = new CountDownLatch(1);
          new Thread(() -> {
            try {
              running.await();
            } catch (InterruptedException never) {
              throw new AssertionError(never);
            }
            endless.cancel();
          }).start();
          for (Token token : endless) running.countDown();
          assertEquals(DoneReason.CANCELLED, endless.done().orElseThrow().reason());
        }
        session.append(" and oranges");
        assertEquals(DoneReason.READ, session.read().reason());
      }
    });
  }

  @Test
  void everyThreadMayClose() throws InterruptedException {
    for (int round = 0; round < 20; round++) {
      Model model = Tiny.open();
      Session session = Tiny.session(model);
      session.append(Tiny.DOCUMENT);
      Generation generation = session.generate(Tiny.tokens(50));
      List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
      List<Thread> threads = new ArrayList<>();
      threads.add(new Thread(() -> {
        try {
          generation.answer();
        } catch (IllegalStateException closed) {
          // The expected end.
        } catch (Throwable failure) {
          failures.add(failure);
        }
      }));
      for (Handle each : List.of(model, session, generation, generation, session, model)) {
        threads.add(new Thread(each::close));
      }
      threads.forEach(Thread::start);
      for (Thread thread : threads) thread.join();
      assertEquals(List.of(), failures);
    }
  }

  /** The library itself says when it is gone: a fork shares pages with the session until then. */
  @Test
  void whatIsForgottenIsFreed() throws InterruptedException {
    try (Model model = Tiny.open(); Session session = Tiny.session(model)) {
      session.append(Tiny.DOCUMENT);
      session.read();
      assertEquals(0, session.info().nSharedPages());
      forget(session);
      assertTrue(session.info().nSharedPages() > 0);
      long deadline = System.nanoTime() + LONG.toNanos();
      while (session.info().nSharedPages() > 0) {
        assertTrue(System.nanoTime() < deadline, "forgotten objects are still there");
        System.gc();
        Thread.sleep(10);
      }
    }
  }

  private static void forget(Session session) {
    for (int i = 0; i < 50; i++) {
      Session fork = session.fork();
      Generation generation = fork.generate(Tiny.tokens(1));
      Snapshot snapshot = session.snapshot();
      assertFalse(generation.isClosed() || snapshot.isClosed());
    }
  }

  /** While a call runs, its object is reachable, whatever the collector does. */
  @Test
  void collectionDuringCalls() throws InterruptedException {
    Thread collector = new Thread(() -> {
      while (!Thread.interrupted()) System.gc();
    });
    collector.setDaemon(true);
    collector.start();
    try (Model model = Tiny.open()) {
      for (int i = 0; i < 30; i++) {
        Session session = Tiny.session(model);
        session.append("The north door opens with 4711");
        // The only use of these objects is the running call.
        assertEquals(5, session.generate(Tiny.tokens(5)).tokens().filter(t -> t.id() >= 0).count());
      }
    } finally {
      collector.interrupt();
      collector.join();
    }
  }
}
