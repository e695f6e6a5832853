package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Many threads on one model, with threads of both kinds and with a queue. */
@Timeout(120)
class ConcurrencyTest {
  private static final int N_THREADS = 16;

  private static String question(int i) {
    return "\nWhich door opens with " + (4700 + i) + "? ";
  }

  private static String ask(Snapshot document, Model model, int i) {
    try (Session session = model.newSession(document)) {
      session.append(question(i));
      try (Generation generation = session.generate(Tiny.tokens(20))) {
        return generation.answer() + generation.recalled();
      }
    }
  }

  private static Snapshot read(Model model) {
    try (Session session = Tiny.session(model)) {
      session.append(Tiny.DOCUMENT);
      session.read();
      return session.snapshot();
    }
  }

  private static void sameFrom(ExecutorService threads) throws Exception {
    try (Model model = Tiny.open(); Snapshot document = read(model)) {
      List<String> expected = new ArrayList<>();
      for (int i = 0; i < N_THREADS; i++) expected.add(ask(document, model, i));
      CountDownLatch start = new CountDownLatch(N_THREADS);
      List<Future<String>> answers = new ArrayList<>();
      for (int i = 0; i < N_THREADS; i++) {
        int number = i;
        Callable<String> task = () -> {
          start.countDown();
          start.await();
          String answer = null;
          for (int round = 0; round < 5; round++) answer = ask(document, model, number);
          return answer;
        };
        answers.add(threads.submit(task));
      }
      for (int i = 0; i < N_THREADS; i++) assertEquals(expected.get(i), answers.get(i).get());
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void platformThreads() throws Exception {
    sameFrom(Executors.newFixedThreadPool(N_THREADS));
  }

  private static ExecutorService virtualThreads() throws ReflectiveOperationException {
    return (ExecutorService)
        Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
  }

  @Test
  void virtualThreadsGiveTheSame() throws Exception {
    assumeTrue(Runtime.version().feature() >= 21, "Java has virtual threads from 21 on");
    sameFrom(virtualThreads());
  }

  /** As many virtual threads inside the library as there are carriers leave the carriers free. */
  @Test
  void virtualThreadsDoNotPin() throws Exception {
    assumeTrue(Runtime.version().feature() >= 21, "Java has virtual threads from 21 on");
    ExecutorService threads = virtualThreads();
    List<Generation> endless = new ArrayList<>();
    try (Model model = Tiny.open()) {
      int n = 2 * Runtime.getRuntime().availableProcessors() + 2;
      CountDownLatch running = new CountDownLatch(n);
      List<Future<?>> pulling = new ArrayList<>();
      for (int i = 0; i < n; i++) {
        Session session = Tiny.session(model);
        session.append("Tea");
        Generation generation = session.generate(Tiny.tokens(100_000_000));
        endless.add(generation);
        pulling.add(threads.submit(() -> {
          generation.iterator().next();
          running.countDown();
          for (Token token : generation) assertTrue(Blocking.onVirtualThread());
        }));
      }
      running.await();
      for (int i = 0; i < 100; i++) threads.submit(() -> {}).get();
      endless.forEach(Generation::cancel);
      for (Future<?> each : pulling) each.get();
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void aQueueGivesWhatEachGivesByItself() throws Exception {
    try (Model model = Tiny.open(); Snapshot document = read(model);
        GenerationQueue queue = model.newQueue()) {
      List<String> expected = new ArrayList<>();
      for (int i = 0; i < N_THREADS; i++) expected.add(ask(document, model, i));
      assertEquals(Optional.empty(), queue.next());

      Map<Generation, StringBuilder> answers = new HashMap<>();
      List<Generation> generations = new ArrayList<>();
      for (int i = 0; i < N_THREADS; i++) {
        Session session = model.newSession(document);
        session.append(question(i));
        Generation generation = session.generate(Tiny.tokens(20));
        queue.add(generation);
        generations.add(generation);
        answers.put(generation, new StringBuilder());
      }
      assertEquals(ErrorCode.BUSY,
          assertThrows(ReattnException.class, generations.get(0)::nextEvent).code());
      assertEquals(ErrorCode.ARG,
          assertThrows(ReattnException.class, () -> queue.add(generations.get(0))).code());
      Optional<QueueEvent> next;
      while ((next = queue.next()).isPresent()) {
        GenerationEvent event = next.get().event();
        StringBuilder answer = answers.get(next.get().generation());
        if (event instanceof Token token) answer.append(token.text());
        if (event instanceof Done done) answer.append(done.text());
      }
      for (int i = 0; i < N_THREADS; i++) {
        Generation generation = generations.get(i);
        assertEquals(expected.get(i), answers.get(generation).toString() + generation.recalled());
        assertEquals(DoneReason.LENGTH, generation.done().orElseThrow().reason());
        generation.close();
        generation.session().close();
      }
    }
  }

  @Test
  void aQueueWhoseGenerationsAreClosedAndCancelledMeanwhile() throws Exception {
    try (Model model = Tiny.open(); GenerationQueue queue = model.newQueue()) {
      List<Generation> generations = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        Session session = Tiny.session(model);
        session.append(question(i));
        generations.add(session.generate(Tiny.tokens(100_000_000)));
        queue.add(generations.get(i));
      }
      for (int i = 0; i < 100; i++) assertTrue(queue.next().isPresent());
      generations.subList(0, 3).forEach(Generation::close);
      generations.subList(3, 6).forEach(Generation::cancel);
      int done = 0;
      Optional<QueueEvent> next;
      while ((next = queue.next()).isPresent()) {
        assertFalse(generations.subList(0, 3).contains(next.get().generation()));
        if (next.get().event() instanceof Done ended) {
          assertEquals(DoneReason.CANCELLED, ended.reason());
          done++;
        }
      }
      assertEquals(3, done);
    }
  }

  @Test
  void aQueueWaitsNoLongerThanItMay() throws Exception {
    try (Model model = Tiny.open(); GenerationQueue queue = model.newQueue()) {
      Session session = Tiny.session(model);
      session.append(Tiny.DOCUMENT.repeat(4));
      Generation generation = session.generate(Tiny.tokens(2));
      queue.add(generation);
      int timeouts = 0;
      while (true) {
        try {
          if (queue.next(Duration.ZERO).isEmpty()) break;
        } catch (TimeoutException later) {
          timeouts++;
        }
      }
      assertTrue(timeouts > 0);
      assertEquals(DoneReason.LENGTH, generation.done().orElseThrow().reason());
      Thread.currentThread().interrupt();
      assertThrows(InterruptedException.class, queue::next);
    }
  }
}
