package org.reattn.service;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.TimeoutException;
import org.reattn.Done;
import org.reattn.Generation;
import org.reattn.GenerationOptions;
import org.reattn.GenerationQueue;
import org.reattn.Model;
import org.reattn.QueueEvent;
import org.reattn.Session;

/**
 * One thread that pulls all answers and documents together, so that the model's weights are read
 * once for a token of each; a bounded number run, the others wait.
 */
final class Engine implements AutoCloseable {
  private static final Duration LOOK_AROUND = Duration.ofMillis(100);

  private final GenerationQueue queue;
  private final int maxRunning;
  private final Queue<Job> waiting = new ArrayDeque<>();
  private final Map<Generation, Job> running = new HashMap<>();
  private final Thread thread = new Thread(this::run, "reattn-engine");
  private boolean closed;
  private IllegalStateException failed;

  Engine(Model model, int maxRunning) {
    queue = model.newQueue();
    this.maxRunning = maxRunning;
    thread.setDaemon(true);
    thread.start();
  }

  /** Takes the session over: it is closed with the job, or here when there will be none. */
  synchronized Job submit(Session session, GenerationOptions options) {
    if (closed || failed != null) {
      session.close();
      throw failed == null ? new IllegalStateException("the service is ending") : failed;
    }
    Job job = new Job(this, session, options);
    waiting.add(job);
    notifyAll();
    return job;
  }

  synchronized void remove(Job job) {
    waiting.remove(job);
    if (job.generation() != null) running.remove(job.generation());
    notifyAll();
  }

  private void run() {
    try {
      while (startThoseWhoseTurnItIs()) {
        try {
          Optional<QueueEvent> event = queue.next(LOOK_AROUND);
          event.ifPresent(this::deliver);
        } catch (TimeoutException later) {
          // Somebody may have come meanwhile.
        } catch (RuntimeException failure) {
          failAll(failure); // of the queue itself, as after close()
        }
      }
    } catch (Throwable end) {
      end(end);
    }
  }

  /** Nobody may wait for a thread that is no more; close() has told them itself. */
  private synchronized void end(Throwable cause) {
    if (closed) return;
    failed = new IllegalStateException("the engine has failed", cause);
    failAll(failed);
  }

  /** Waits until there is something to do; false at the end. */
  private synchronized boolean startThoseWhoseTurnItIs() throws InterruptedException {
    while (!closed && waiting.isEmpty() && running.isEmpty()) wait();
    while (!closed && running.size() < maxRunning && !waiting.isEmpty()) {
      Job job = waiting.remove();
      try {
        Generation generation = job.start();
        running.put(generation, job);
        queue.add(generation);
      } catch (RuntimeException failure) {
        running.remove(job.generation());
        job.add(new Job.Step(null, failure));
      } catch (Error failure) {
        job.add(new Job.Step(null, new IllegalStateException(failure))); // it is in neither, maybe
        throw failure;
      }
    }
    return !closed;
  }

  private synchronized void deliver(QueueEvent event) {
    boolean last = event.failure() != null || event.event() instanceof Done;
    Job job = running.get(event.generation());
    if (job != null) job.add(new Job.Step(event.event(), event.failure()));
    if (last) running.remove(event.generation());
  }

  private synchronized void failAll(RuntimeException failure) {
    waiting.forEach(job -> job.add(new Job.Step(null, failure)));
    running.values().forEach(job -> job.add(new Job.Step(null, failure)));
    waiting.clear();
    running.clear();
  }

  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      failAll(new IllegalStateException("the service is ending"));
    }
    thread.interrupt();
    queue.close();
  }
}
