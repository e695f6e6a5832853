package org.reattn;

import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** A generation for one subscriber, by the rules of Reactive Streams. */
final class EventPublisher implements Flow.Publisher<GenerationEvent> {
  private final Generation generation;
  private final Executor executor;
  private final AtomicBoolean taken = new AtomicBoolean();

  EventPublisher(Generation generation, Executor executor) {
    this.generation = generation;
    this.executor = Objects.requireNonNull(executor, "executor");
  }

  @Override
  public void subscribe(Flow.Subscriber<? super GenerationEvent> subscriber) {
    Objects.requireNonNull(subscriber, "subscriber");
    if (taken.compareAndSet(false, true)) {
      new Pulling(subscriber).begin();
      return;
    }
    subscriber.onSubscribe(new Flow.Subscription() {
      @Override
      public void request(long n) {}

      @Override
      public void cancel() {}
    });
    subscriber.onError(new IllegalStateException("a generation has one subscriber"));
  }

  private final class Pulling implements Flow.Subscription, Runnable {
    private final Flow.Subscriber<? super GenerationEvent> subscriber;
    private final AtomicLong demand = new AtomicLong();
    /** Signals that came since run() began: it is run by one thread at a time, after begin(). */
    private final AtomicInteger signals = new AtomicInteger(1);
    private volatile boolean cancelled;
    private volatile RuntimeException refused;
    private boolean ended;

    Pulling(Flow.Subscriber<? super GenerationEvent> subscriber) {
      this.subscriber = subscriber;
    }

    /** Nothing is delivered before onSubscribe has returned, whatever is asked for in it. */
    void begin() {
      subscriber.onSubscribe(this);
      if (signals.decrementAndGet() > 0) start();
    }

    @Override
    public void request(long n) {
      if (n <= 0) {
        refused = new IllegalArgumentException("request(" + n + "): not above 0");
      } else {
        demand.accumulateAndGet(n, (a, b) -> a + b < 0 ? Long.MAX_VALUE : a + b);
      }
      signal();
    }

    @Override
    public void cancel() {
      cancelled = true;
      stop();
      signal();
    }

    private void stop() {
      try {
        generation.cancel();
      } catch (IllegalStateException closed) {
        // As good as cancelled.
      }
    }

    private void signal() {
      if (signals.getAndIncrement() == 0) start();
    }

    private void start() {
      try {
        executor.execute(this);
      } catch (RuntimeException rejected) {
        end(rejected);
      }
    }

    @Override
    public void run() {
      int seen = 1;
      do {
        deliver();
        seen = signals.addAndGet(-seen);
      } while (seen > 0);
    }

    private void deliver() {
      while (!ended && !cancelled && refused == null && demand.get() > 0) {
        Optional<GenerationEvent> event;
        try {
          event = generation.nextEvent();
        } catch (RuntimeException failure) {
          end(failure);
          return;
        }
        if (cancelled) break;
        if (event.isEmpty()) {
          end(null);
          return;
        }
        demand.decrementAndGet();
        subscriber.onNext(event.get());
        if (event.get() instanceof Done) end(null);
      }
      if (!ended && refused != null) {
        end(refused);
        cancelled = true;
        stop();
      }
      if (cancelled) drain();
    }

    /** The session is free again only after the last event. */
    private void drain() {
      ended = true;
      try {
        while (generation.nextEvent().isPresent()) {}
      } catch (RuntimeException over) {
        // Nobody listens any more, and it has ended.
      }
    }

    private void end(RuntimeException failure) {
      if (ended) return;
      ended = true;
      if (cancelled) return;
      if (failure == null) {
        subscriber.onComplete();
      } else {
        subscriber.onError(failure);
      }
    }
  }
}
