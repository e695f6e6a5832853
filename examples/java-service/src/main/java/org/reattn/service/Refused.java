package org.reattn.service;

/** What the client gets in place of an answer: a status and a sentence. */
final class Refused extends RuntimeException {
  private static final long serialVersionUID = 1L;

  final int status;
  final String code;

  Refused(int status, String code, String message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  static Refused bad(String message) {
    return new Refused(400, "invalid_request_error", message);
  }
}
