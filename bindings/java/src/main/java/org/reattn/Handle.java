package org.reattn;

import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Owns one native object, which is freed once: by {@link #close}, or after the owner was forgotten.
 *
 * <p>The native library itself counts who is inside a call with an object, and knows handles that
 * were freed from live ones. So closing neither waits for running calls nor pulls anything from under
 * them, and what is left to do here is to free once and to say "closed".
 */
abstract class Handle implements AutoCloseable {
  private static final Cleaner CLEANER = Cleaner.create();

  /** Apart from the owner, whose being unreachable is what the cleaner waits for. */
  private static final class State implements Runnable {
    final AtomicLong handle;
    private final LongConsumer free;

    State(long handle, LongConsumer free) {
      this.handle = new AtomicLong(handle);
      this.free = free;
    }

    @Override
    public void run() {
      long owned = handle.getAndSet(0);
      if (owned != 0) free.accept(owned);
    }
  }

  /** A native call, given the handle; its result is a status. */
  interface Call {
    int on(long handle);
  }

  private final State state;
  private final Cleaner.Cleanable cleanable;

  Handle(long handle, LongConsumer free) {
    state = new State(handle, free);
    cleanable = CLEANER.register(this, state);
  }

  /** Makes a call, during which this object stays reachable, and so is not freed by the cleaner. */
  final int call(Call call) {
    long handle = state.handle.get();
    try {
      if (handle == 0) throw closed();
      return call.on(handle);
    } catch (ReattnException failure) {
      // Closed by another thread between the look at the handle and the call.
      if (failure.code() == ErrorCode.HANDLE && isClosed()) throw closed();
      throw failure;
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  final boolean isClosed() {
    return state.handle.get() == 0;
  }

  private IllegalStateException closed() {
    return new IllegalStateException("this " + getClass().getSimpleName() + " is closed");
  }

  /** Frees the native object. Another call does nothing. */
  @Override
  public void close() {
    cleanable.clean();
  }
}
