package org.reattn.service;

/** As much is running and waiting as may be: the client gets 429. */
final class Busy extends RuntimeException {
  private static final long serialVersionUID = 1L;

  Busy() {
    super("too many requests are waiting; try again later");
  }
}
