package org.reattn.service;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * An answer that takes a while. Every now and then something is written, be it nothing of meaning,
 * for a client that went away is only noticed by writing to it.
 */
abstract class Reply {
  static final ObjectMapper JSON = new ObjectMapper();

  final HttpServletResponse response;
  private OutputStream out;

  Reply(HttpServletResponse response) {
    this.response = response;
  }

  /** Something was done: an event for those who look on. */
  abstract void progress(Object event) throws IOException;

  /** Nothing to say, but is anybody there? */
  abstract void stillHere() throws IOException;

  final void write(String text) throws IOException {
    if (out == null) {
      response.setHeader("Cache-Control", "no-store");
      out = response.getOutputStream();
    }
    out.write(text.getBytes(StandardCharsets.UTF_8));
    out.flush();
  }

  final boolean hasBegun() {
    return out != null;
  }

  static String json(Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Server-sent events. */
  static final class Events extends Reply {
    Events(HttpServletResponse response) {
      super(response);
      response.setContentType("text/event-stream; charset=utf-8");
    }

    void send(String data) throws IOException {
      write("data: " + data + "\n\n");
    }

    @Override
    void progress(Object event) throws IOException {
      send(json(event));
    }

    @Override
    void stillHere() throws IOException {
      write(": \n\n");
    }
  }

  /** One JSON value, before which white space may stand. */
  static final class Whole extends Reply {
    private static final long QUIET_MS = 1000;

    private final long start = System.nanoTime();

    Whole(HttpServletResponse response) {
      super(response);
      response.setContentType("application/json; charset=utf-8");
    }

    @Override
    void progress(Object event) throws IOException {
      stillHere();
    }

    /** Not in the first second, so that what fails early gets its status. */
    @Override
    void stillHere() throws IOException {
      if (System.nanoTime() - start > QUIET_MS * 1_000_000) write(" ");
    }
  }
}
