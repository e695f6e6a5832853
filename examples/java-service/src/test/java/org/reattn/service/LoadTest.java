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

/**
 * 64 clients that ask without a break: no answer but 200 and 429, and memory comes to rest.
 * service.load.seconds is how long a round lasts at least; a minute is the measurement.
 */
@Timeout(1800)
class LoadTest {
  private static final int CLIENTS = 64;
  private static final long SECONDS = Long.getLong("service.load.seconds", 0);
  /** Of a round, at least: what is lost with each answer is seen, however slow the machine is. */
  private static final long ANSWERS = 400;
  private static final int ROUNDS = 8;
  private static final double LIMIT_MB = 4;

  private static double anonymousMb() throws IOException {
    System.gc();
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("RssAnon:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
    }
    throw new IOException("no RssAnon");
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
      // Compiled code, threads and buffers come in the first rounds, what is lost in all of them.
      double growth = Double.MAX_VALUE;
      double before = anonymousMb();
      for (int round = 0; round < ROUNDS && growth > LIMIT_MB; round++) {
        long begin = System.nanoTime();
        Map<Integer, LongAdder> statuses = ask(url, id);
        while (service.load() > 0) Thread.sleep(10);
        double after = anonymousMb();
        System.out.printf("%.0f s of %d clients: %s; %.1f MB before, %.1f MB after%n",
            (System.nanoTime() - begin) / 1e9, CLIENTS, statuses, before, after);
        statuses.remove(200);
        statuses.remove(429);
        assertEquals(Map.of(), statuses);
        growth = after - before;
        before = after;
      }
      assertTrue(growth <= LIMIT_MB, growth + " MB more in the last of " + ROUNDS + " rounds");
    }
  }

  /** One round: how many answers of each status there were. */
  private static Map<Integer, LongAdder> ask(String url, String id) throws InterruptedException {
    Map<Integer, LongAdder> statuses = new ConcurrentHashMap<>(Map.of(200, new LongAdder()));
    long end = System.nanoTime() + SECONDS * 1_000_000_000;
    List<Thread> clients = new ArrayList<>();
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 0; i < CLIENTS; i++) {
      String body = "{\"messages\": [{\"role\": \"user\", \"content\": \"Which door, " + i + "?\"}],"
          + " \"max_tokens\": 16, \"stream\": " + (i % 2 == 0)
          + (i % 4 < 2 ? ", \"document\": \"" + id + "\"" : "") + "}";
      Thread thread = new Thread(() -> {
        int status = 200;
        while ((status == 200 || status == 429)
            && (System.nanoTime() < end || statuses.get(200).sum() < ANSWERS)) {
          status = status(client, url, body);
          statuses.computeIfAbsent(status, any -> new LongAdder()).increment();
        }
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
      failure.printStackTrace();
      return 0;
    }
  }
}
