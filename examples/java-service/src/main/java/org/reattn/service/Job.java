package org.reattn.service;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.reattn.Generation;
import org.reattn.GenerationEvent;
import org.reattn.GenerationOptions;
import org.reattn.Session;

/** One answer, or one document being read: its session, and the events that the engine makes. */
final class Job implements AutoCloseable {
  /** An event, or why the job failed. */
  record Step(GenerationEvent event, RuntimeException failure) {}

  final Session session;
  final GenerationOptions options;
  private final Engine engine;
  private final BlockingQueue<Step> steps = new LinkedBlockingQueue<>();
  private volatile Generation generation;
  private volatile boolean cancelled;

  Job(Engine engine, Session session, GenerationOptions options) {
    this.engine = engine;
    this.session = session;
    this.options = options;
  }

  /** The next event; null when none came in that time. */
  GenerationEvent next(long timeoutMs) throws InterruptedException {
    Step step = steps.poll(timeoutMs, TimeUnit.MILLISECONDS);
    if (step == null) return null;
    if (step.failure() != null) throw step.failure();
    return step.event();
  }

  /** Its generation, once its turn has come; null before. */
  Generation generation() {
    return generation;
  }

  // ---- Called by the engine -----------------------------------------------------------------

  Generation start() {
    generation = session.generate(options);
    if (cancelled) generation.cancel();
    return generation;
  }

  void add(Step step) {
    steps.add(step);
  }

  /** Ends it, wherever it stands, and frees what it holds. */
  @Override
  public void close() {
    cancelled = true;
    engine.remove(this);
    Generation started = generation;
    if (started != null) started.close();
    session.close();
  }
}
