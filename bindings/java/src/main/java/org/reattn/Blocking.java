package org.reattn;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;

/**
 * Native calls that last. A virtual thread inside one pins its carrier, and a few would stop all
 * others; so it parks, and a platform thread makes the call in its stead.
 */
final class Blocking {
  /**
   * A wait inside the library is cut into slices of this, between which interrupts are looked at.
   */
  static final long SLICE_MS = 50;

  private static final AtomicInteger COUNT = new AtomicInteger();

  /** Daemons, made when needed and gone a minute later. */
  static final ExecutorService THREADS = Executors.newCachedThreadPool(work -> {
    Thread thread = new Thread(work, "reattn-" + COUNT.incrementAndGet());
    thread.setDaemon(true);
    return thread;
  });

  /** Thread.isVirtual, which Java has from 21 on; null before. */
  private static final MethodHandle IS_VIRTUAL = isVirtual();

  private Blocking() {}

  private static MethodHandle isVirtual() {
    try {
      return MethodHandles.publicLookup()
          .findVirtual(Thread.class, "isVirtual", MethodType.methodType(boolean.class));
    } catch (ReflectiveOperationException older) {
      return null;
    }
  }

  static boolean onVirtualThread() {
    try {
      return IS_VIRTUAL != null && (boolean) IS_VIRTUAL.invokeExact(Thread.currentThread());
    } catch (Throwable impossible) {
      throw new AssertionError(impossible);
    }
  }

  /** The result of {@code work}, on this thread or, in place of a virtual one, on another. */
  static <T> T call(Supplier<T> work) {
    if (!onVirtualThread()) return work.get();
    try {
      // Unlike get(), join() waits on when the thread is interrupted, and leaves the flag set.
      return CompletableFuture.supplyAsync(work, THREADS).join();
    } catch (CompletionException failure) {
      Throwable cause = failure.getCause();
      if (cause instanceof RuntimeException) throw (RuntimeException) cause;
      if (cause instanceof Error) throw (Error) cause;
      throw failure;
    }
  }
}
