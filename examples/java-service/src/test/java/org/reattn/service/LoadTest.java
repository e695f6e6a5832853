package org.reattn.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.reattn.Device;

/** 64 clients that ask without a break: no answer but 200 and 429, and memory stays flat. */
@Timeout(300)
class LoadTest {
  private static final int CLIENTS = 64;
  private static final long SECONDS = Long.getLong("service.load.seconds", 3);
  private static final double LIMIT_MB = 32;

  private static double rssMb() throws IOException {
    System.gc();
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
    }
    throw new IOException("no VmRSS");
  }

  @Test
  void clients(@TempDir Path data) throws Exception {
    ServiceOptions options = new ServiceOptions();
    options.model = Path.of(System.getenv("REATTN_TINY_MODEL"));
    options.data = data;
    options.port = 0;
    options.device = Device.CPU;
    options.nLocal = 64L;
    options.chunk = 32;
    options.span = 8;
    options.nAnchors = 8;
    try (Service service = new Service(options)) {
      String url = "http://127.0.0.1:" + service.port() + "/v1/";
      HttpResponse<String> added = HttpClient.newHttpClient().send(
          HttpRequest.newBuilder(URI.create(url + "documents")).POST(
              HttpRequest.BodyPublishers.ofString("The north door opens with 4711.\n".repeat(40)))
              .build(), HttpResponse.BodyHandlers.ofString());
      String id = added.body().replaceAll(".*\"id\":\"([^\"]+)\".*", "$1");
      ask(url, id, Math.max(3, SECONDS / 2)); // buffers, threads and compiled code come first
      double before = rssMb();
      Map<Integer, LongAdder> statuses = ask(url, id, SECONDS);
      while (service.load() > 0) Thread.sleep(10);
      double after = rssMb();
      System.out.printf("%d s of %d clients: %s; %.0f MB before, %.0f MB after%n",
          SECONDS, CLIENTS, statuses, before, after);
      assertTrue(statuses.get(200).sum() > 10 * SECONDS, statuses.toString());
      statuses.remove(200);
      statuses.remove(429);
      assertEquals(Map.of(), statuses);
      assertTrue(after - before < LIMIT_MB, before + " MB before, " + after + " MB after");
    }
  }

  private static Map<Integer, LongAdder> ask(String url, String id, long seconds)
      throws InterruptedException {
    Map<Integer, LongAdder> statuses = new ConcurrentHashMap<>();
    long end = System.nanoTime() + seconds * 1_000_000_000;
    List<Thread> clients = new ArrayList<>();
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 0; i < CLIENTS; i++) {
      String body = "{\"messages\": [{\"role\": \"user\", \"content\": \"Which door, " + i + "?\"}],"
          + " \"max_tokens\": 16, \"stream\": " + (i % 2 == 0)
          + (i % 4 < 2 ? ", \"document\": \"" + id + "\"" : "") + "}";
      Thread thread = new Thread(() -> {
        while (System.nanoTime() < end) statuses.computeIfAbsent(
            status(client, url, body), status -> new LongAdder()).increment();
      });
      clients.add(thread);
      thread.start();
    }
    for (Thread each : clients) each.join();
    return statuses;
  }

  /** 200 only where the answer is whole; 0 where the connection failed. */
  private static int status(HttpClient client, String url, String body) {
    try {
      HttpResponse<String> response = client.send(
          HttpRequest.newBuilder(URI.create(url + "chat/completions"))
              .POST(HttpRequest.BodyPublishers.ofString(body)).build(),
          HttpResponse.BodyHandlers.ofString());
      boolean whole = response.body().endsWith("data: [DONE]\n\n")
          || response.body().contains("\"usage\"");
      if (response.statusCode() == 200 && (!whole || response.body().contains("\"error\""))) return 1;
      if (response.statusCode() == 429) Thread.sleep(20);
      return response.statusCode();
    } catch (IOException | InterruptedException failure) {
      return 0;
    }
  }
}
