package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The ways to pull an answer: each gives the same, exactly. */
@Timeout(60)
class StreamsTest {
  private static final String QUESTION = "pillj oc";
  private static final long N = 24;

  private Model model;
  private Session session;

  @BeforeEach
  void open() {
    model = Tiny.open();
    session = Tiny.session(model);
    session.append(QUESTION);
  }

  @AfterEach
  void close() {
    session.close();
    model.close();
  }

  /** Has characters of several tokens, and text that only the last event delivers. */
  private String expected() {
    try (Session other = Tiny.session(model)) {
      other.append(QUESTION);
      StringBuilder text = new StringBuilder();
      try (Generation generation = other.generate(Tiny.tokens(N))) {
        Optional<GenerationEvent> event;
        while ((event = generation.nextEvent()).isPresent()) {
          if (event.get() instanceof Token token) text.append(token.text());
          if (event.get() instanceof Done done) text.append(done.text());
        }
      }
      return text.toString();
    }
  }

  @Test
  void forEach() {
    StringBuilder text = new StringBuilder();
    int n = 0;
    try (Generation generation = session.generate(Tiny.tokens(N))) {
      for (Token token : generation) {
        text.append(token.text());
        if (token.id() != Token.NO_ID) n++;
      }
      assertEquals(DoneReason.LENGTH, generation.done().orElseThrow().reason());
      Iterator<Token> ended = generation.iterator();
      assertFalse(ended.hasNext());
      assertThrows(NoSuchElementException.class, ended::next);
    }
    assertEquals(expected(), text.toString());
    assertEquals(N, n);
  }

  @Test
  void streamOfText() {
    try (Stream<String> text = session.generate(Tiny.tokens(N)).text()) {
      assertEquals(expected(), text.collect(Collectors.joining()));
    }
  }

  @Test
  void aStreamThatIsClosedEarlyFreesTheSession() {
    try (Stream<Token> tokens = session.generate(Tiny.tokens(1_000_000)).tokens()) {
      assertEquals(3, tokens.limit(3).count());
    }
    session.append("again");
    assertEquals(DoneReason.READ, session.read().reason());
  }

  @Test
  void answerAtOnce() {
    try (Generation generation = session.generate(Tiny.tokens(N))) {
      assertEquals(expected(), generation.answer());
      assertEquals("", generation.answer());
    }
  }

  /** Text held back for a stop text that did not come is delivered at the end. */
  @Test
  void heldBackText() {
    String whole = expected();
    String tail = whole.substring(whole.length() - 2) + "never";
    GenerationOptions options = GenerationOptions.builder()
        .ignoreEnd(true).maxTokens(N).stop(tail).build();
    try (Generation generation = session.generate(options)) {
      List<Token> tokens = new ArrayList<>();
      generation.forEach(tokens::add);
      assertEquals(Token.NO_ID, tokens.get(tokens.size() - 1).id());
      assertEquals(whole, tokens.stream().map(Token::text).collect(Collectors.joining()));
    }
  }

  @Test
  void progressOfReading() {
    session.append(Tiny.DOCUMENT);
    List<Progress> seen = new ArrayList<>();
    Done done = session.read(seen::add);
    assertTrue(seen.size() > 10, seen.toString());
    for (int i = 1; i < seen.size(); i++) {
      assertTrue(seen.get(i - 1).nDone() < seen.get(i).nDone(), seen.toString());
    }
    Progress last = seen.get(seen.size() - 1);
    assertEquals(last.nTotal(), last.nDone());
    assertEquals(done.nDone(), last.nDone());
    assertEquals(session.info().nTokens(), last.nTotal());
  }

  @Test
  void aPullThatTakesTooLongGoesOnLater() {
    session.append(Tiny.DOCUMENT.repeat(4));
    int timeouts = 0;
    int events = 0;
    try (Generation generation = session.generate(Tiny.tokens(0))) {
      while (true) {
        try {
          if (generation.nextEvent(Duration.ZERO).isEmpty()) break;
          events++;
        } catch (TimeoutException later) {
          timeouts++;
        }
      }
      assertEquals(DoneReason.READ, generation.done().orElseThrow().reason());
    }
    assertTrue(timeouts > 0 && events > 0, timeouts + " timeouts, " + events + " events");
  }

  @Test
  void interruptingThePullCancels() {
    try (Generation generation = session.generate(Tiny.tokens(100_000_000))) {
      int n = 0;
      for (Token token : generation) {
        if (++n == 5) Thread.currentThread().interrupt();
      }
      assertTrue(Thread.interrupted(), "the flag stays");
      assertEquals(DoneReason.CANCELLED, generation.done().orElseThrow().reason());
      assertTrue(n < 100, n + " tokens");
    } finally {
      Thread.interrupted();
    }
  }

  /** Of two threads that pull at once, one is refused, and that changes nothing for the other. */
  @Test
  void twoPullersAreRefused() throws InterruptedException {
    session.append(Tiny.DOCUMENT);
    try (Generation generation = session.generate(Tiny.tokens(100_000_000))) {
      List<ReattnException> refused = Collections.synchronizedList(new ArrayList<>());
      Runnable pull = () -> {
        try {
          while (refused.isEmpty() && generation.nextEvent().isPresent()) {}
        } catch (ReattnException failure) {
          refused.add(failure);
        }
      };
      Thread other = new Thread(pull);
      other.start();
      pull.run();
      other.join();
      refused.forEach(failure -> assertEquals(ErrorCode.BUSY, failure.code()));
      assertFalse(refused.isEmpty());
      assertTrue(generation.nextEvent().isPresent());
      assertEquals(ErrorCode.BUSY,
          assertThrows(ReattnException.class, () -> session.append("x")).code());
    }
  }

  // ---- Flow.Publisher -----------------------------------------------------------------------

  /** Asks for what it is told to, and keeps all that comes. */
  private static class Collecting implements Flow.Subscriber<GenerationEvent> {
    final List<GenerationEvent> events = new ArrayList<>();
    final CountDownLatch ended = new CountDownLatch(1);
    volatile Flow.Subscription subscription;
    volatile Throwable failure;
    volatile boolean completed;

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      this.subscription = subscription;
    }

    @Override
    public void onNext(GenerationEvent event) {
      synchronized (events) {
        events.add(event);
        events.notifyAll();
      }
    }

    @Override
    public void onError(Throwable failure) {
      this.failure = failure;
      ended.countDown();
    }

    @Override
    public void onComplete() {
      completed = true;
      ended.countDown();
    }

    void await(int n) throws InterruptedException {
      synchronized (events) {
        while (events.size() < n) events.wait();
      }
    }
  }

  @Test
  void publisher() throws InterruptedException {
    try (Generation generation = session.generate(Tiny.tokens(N))) {
      Collecting subscriber = new Collecting();
      generation.publisher().subscribe(subscriber);
      subscriber.subscription.request(3);
      subscriber.await(3);
      Thread.sleep(50);
      assertEquals(3, subscriber.events.size(), "no more than was asked for");
      subscriber.subscription.request(Long.MAX_VALUE);
      assertTrue(subscriber.ended.await(30, TimeUnit.SECONDS));
      assertNull(subscriber.failure);
      assertTrue(subscriber.completed);
      StringBuilder text = new StringBuilder();
      for (GenerationEvent event : subscriber.events) {
        if (event instanceof Token token) text.append(token.text());
        if (event instanceof Done done) text.append(done.text());
      }
      assertEquals(expected(), text.toString());
      assertInstanceOf(Done.class, subscriber.events.get(subscriber.events.size() - 1));
    }
  }

  @Test
  void aCancelledSubscriptionFreesTheSession() throws InterruptedException {
    try (Generation generation = session.generate(Tiny.tokens(100_000_000))) {
      Collecting subscriber = new Collecting();
      generation.publisher().subscribe(subscriber);
      subscriber.subscription.request(5);
      subscriber.await(5);
      subscriber.subscription.cancel();
      while (generation.done().isEmpty()) Thread.sleep(1);
      assertEquals(DoneReason.CANCELLED, generation.done().orElseThrow().reason());
      assertEquals(1, subscriber.ended.getCount(), "nothing is told after a cancel");
      assertEquals(5, subscriber.events.size());
    }
    session.append("again");
    assertEquals(DoneReason.READ, session.read().reason());
  }

  @Test
  void publisherRules() throws InterruptedException {
    try (Generation generation = session.generate(Tiny.tokens(N))) {
      Flow.Publisher<GenerationEvent> publisher = generation.publisher();
      assertThrows(NullPointerException.class, () -> publisher.subscribe(null));
      Collecting first = new Collecting();
      publisher.subscribe(first);
      Collecting second = new Collecting();
      publisher.subscribe(second);
      assertInstanceOf(IllegalStateException.class, second.failure);
      first.subscription.request(0);
      assertTrue(first.ended.await(30, TimeUnit.SECONDS));
      assertInstanceOf(IllegalArgumentException.class, first.failure);
    }
    session.append("again");
    try (Generation generation = session.generate(Tiny.tokens(N))) {
      Collecting refused = new Collecting();
      generation.publisher(task -> {
        throw new RejectedExecutionException("full");
      }).subscribe(refused);
      refused.subscription.request(1);
      assertInstanceOf(RejectedExecutionException.class, refused.failure);
    }
    session.append("again");
    Generation closed = session.generate(Tiny.tokens(N));
    closed.close();
    Collecting failing = new Collecting();
    closed.publisher(Runnable::run).subscribe(failing);
    failing.subscription.request(1);
    assertInstanceOf(IllegalStateException.class, failing.failure);
  }
}
