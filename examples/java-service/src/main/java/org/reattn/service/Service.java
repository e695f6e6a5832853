package org.reattn.service;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.javalin.Javalin;
import io.javalin.http.Context;
import io.javalin.http.Handler;
import io.javalin.http.staticfiles.Location;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Semaphore;
import org.eclipse.jetty.server.ServerConnector;
import org.reattn.Done;
import org.reattn.GenerationEvent;
import org.reattn.GenerationOptions;
import org.reattn.Model;
import org.reattn.ModelOptions;
import org.reattn.Progress;
import org.reattn.ReattnException;
import org.reattn.Session;
import org.reattn.SessionOptions;
import org.reattn.Snapshot;

/** The HTTP side: who may ask, what is refused, and the routes. */
public final class Service implements AutoCloseable {
  private static final int HEADER_BYTES = 16 << 10;
  private static final int TITLE_CHARS = 200;
  private static final String POLICY =
      "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
  private static final Set<String> LOCAL_NAMES = Set.of("localhost", "127.0.0.1", "[::1]");

  private final ServiceOptions options;
  private final Model model;
  private final String modelName;
  private final Prompt prompt;
  private final Engine engine;
  private final Semaphore places;
  private final Documents documents;
  private final Answers answers;
  private final Javalin app;

  /** Opens the model and listens. */
  public Service(ServiceOptions options) throws IOException {
    this.options = options;
    if (options.key == null && !InetAddress.getByName(options.host).isLoopbackAddress()) {
      throw new IllegalArgumentException("listening on " + options.host
          + " needs a key: set REATTN_SERVICE_KEY");
    }
    model = Model.open(options.model,
        ModelOptions.builder().device(options.device).nThreads(options.threads).build());
    modelName = options.model.getFileName().toString().replaceFirst("\\.gguf$", "");
    prompt = new Prompt(model, options.template);
    documents = new Documents(model, options.data, options.maxOpenSnapshots);
    engine = new Engine(model, options.maxRunning);
    places = new Semaphore(options.maxRunning + options.maxWaiting);
    answers = new Answers(engine, documents, prompt, modelName, this::newSession);
    app = Javalin.create(config -> {
      config.showJavalinBanner = false;
      config.useVirtualThreads = false;
      config.http.disableCompression(); // it would hold events back
      config.http.prefer405over404 = true;
      config.staticFiles.add("/public", Location.CLASSPATH);
      config.jetty.modifyHttpConfiguration(http -> {
        http.setRequestHeaderSize(HEADER_BYTES);
        http.setSendServerVersion(false);
      });
    });
    routes();
    app.start(options.host, options.port);
  }

  /** The port it listens on. */
  public int port() {
    return ((ServerConnector) app.jettyServer().server().getConnectors()[0]).getLocalPort();
  }

  /** Answers and documents that are worked on or wait. */
  int load() {
    return options.maxRunning + options.maxWaiting - places.availablePermits();
  }

  private Session newSession() {
    SessionOptions.Builder settings = SessionOptions.builder(model);
    if (options.nLocal != null) settings.nLocal(options.nLocal);
    if (options.nAnchors != null) settings.nAnchors(options.nAnchors);
    if (options.span != null) settings.span(options.span);
    if (options.chunk != null) settings.chunk(options.chunk);
    if (options.voteStride != null) settings.voteStride(options.voteStride);
    return model.newSession(settings.build());
  }

  private void routes() {
    app.before(this::admit);
    app.get("/v1/models", ctx -> ctx.json(Map.of("object", "list", "data", List.of(
        Map.of("id", modelName, "object", "model", "created", 0, "owned_by", "reattn")))));
    app.post("/v1/chat/completions", bounded(this::chat));
    app.post("/v1/documents", bounded(this::addDocument));
    app.get("/v1/documents", ctx ->
        ctx.json(Map.of("object", "list", "data", documents.all())));
    app.get("/v1/documents/{id}", ctx -> ctx.json(document(ctx)));
    app.get("/v1/documents/{id}/text", ctx ->
        ctx.contentType("text/plain; charset=utf-8").result(documents.text(document(ctx))));
    app.delete("/v1/documents/{id}", ctx -> {
      documents.delete(document(ctx));
      ctx.status(204);
    });
    app.exception(Refused.class, (refused, ctx) ->
        fail(ctx, refused.status, refused.code, refused.getMessage()));
    app.exception(Busy.class, (busy, ctx) -> {
      ctx.header("Retry-After", "1");
      fail(ctx, 429, "rate_limit_exceeded", busy.getMessage());
    });
    app.exception(ReattnException.class, (failure, ctx) -> {
      int status = switch (failure.code()) {
        case ARG, UNSUPPORTED -> 400;
        case OOM_HOST, OOM_DEVICE -> 503;
        default -> 500;
      };
      if (status >= 500) log(failure);
      fail(ctx, status, failure.code().name().toLowerCase(java.util.Locale.ROOT),
          failure.getMessage());
    });
    app.exception(IllegalArgumentException.class, (failure, ctx) ->
        fail(ctx, 400, "invalid_request_error", failure.getMessage()));
    app.exception(IOException.class, (gone, ctx) -> // whoever asked: nobody reads this
        fail(ctx, 400, "invalid_request_error", "the body did not arrive"));
    app.exception(Exception.class, (failure, ctx) -> {
      log(failure);
      fail(ctx, 500, "internal_error", "the service failed");
    });
  }

  /** What clients are not told. */
  private static void log(Exception failure) {
    failure.printStackTrace();
  }

  /** Whoever gets no place is told so before anything is read. */
  private Handler bounded(Handler work) {
    return ctx -> {
      if (!places.tryAcquire()) throw new Busy();
      try {
        work.handle(ctx);
      } finally {
        places.release();
      }
    };
  }

  private static void fail(Context ctx, int status, String code, String message) {
    if (ctx.res().isCommitted()) return;
    ctx.status(status).json(error(code, message));
  }

  private static Map<String, Object> error(String code, String message) {
    return Map.of("error", Map.of("message", message, "type", code, "code", code));
  }

  /** Before anything else is looked at. */
  private void admit(Context ctx) {
    ctx.header("X-Content-Type-Options", "nosniff");
    ctx.header("Content-Security-Policy", POLICY);
    if (options.key == null) {
      // A page of somebody else's, in a browser on this machine, must not reach the service: neither
      // by a name that it makes point here, nor by a request across origins.
      String host = ctx.host() == null ? "" : ctx.host().replaceFirst(":\\d+$", "");
      String origin = ctx.header("Origin");
      boolean own = LOCAL_NAMES.contains(host) || host.equals(options.hostName());
      if (!own || (origin != null && !origin.equals("http://" + ctx.host()))) {
        throw new Refused(403, "forbidden", "only this machine may ask");
      }
      return;
    }
    if (!ctx.path().startsWith("/v1/")) return; // the page itself asks for the key
    String shown = ctx.header("Authorization");
    byte[] wanted = ("Bearer " + options.key).getBytes(StandardCharsets.UTF_8);
    if (shown == null
        || !MessageDigest.isEqual(wanted, shown.getBytes(StandardCharsets.UTF_8))) {
      throw new Refused(401, "invalid_api_key", "the key is missing or wrong");
    }
  }

  private byte[] body(Context ctx, long most) throws IOException {
    Refused large = new Refused(413, "too_large", "the body has more than " + most + " bytes");
    if (ctx.contentLength() > most) throw large;
    try (InputStream in = ctx.bodyInputStream()) {
      ByteArrayOutputStream body = new ByteArrayOutputStream();
      byte[] piece = new byte[1 << 16];
      for (int n; (n = in.read(piece)) >= 0;) {
        body.write(piece, 0, n);
        if (body.size() > most) throw large;
      }
      return body.toByteArray();
    }
  }

  private Documents.Document document(Context ctx) {
    return documents.find(ctx.pathParam("id")).orElseThrow(Documents::unknown);
  }

  // ---- Answers ------------------------------------------------------------------------------

  private void chat(Context ctx) throws Exception {
    ChatRequest request;
    try {
      request = ChatRequest.of(
          new ObjectMapper().readTree(body(ctx, options.maxBodyBytes)), options);
    } catch (com.fasterxml.jackson.core.JsonProcessingException wrong) {
      throw Refused.bad("the body is no JSON: " + wrong.getOriginalMessage());
    }
    if (request.model() != null && !request.model().equals(modelName)) {
      throw new Refused(404, "model_not_found", "the model is " + modelName);
    }
    reply(request.stream() ? new Reply.Events(ctx.res()) : new Reply.Whole(ctx.res()),
        reply -> answers.answer(request, reply));
  }

  private interface Body {
    void write(Reply reply) throws IOException, InterruptedException;
  }

  /** A failure after the reply has begun is told in it; one of the connection ends the work. */
  private static void reply(Reply reply, Body body) throws Exception {
    try {
      body.write(reply);
    } catch (IOException gone) {
      // Whoever asked went away; the job was cancelled on the way here.
    } catch (RuntimeException failure) {
      if (!reply.hasBegun()) throw failure;
      Refused refused = failure instanceof Refused ? (Refused) failure : null;
      if (refused == null) log(failure);
      String message = refused != null || failure instanceof ReattnException
          ? failure.getMessage() : "the service failed";
      try {
        reply.write((reply instanceof Reply.Events ? "data: " : "")
            + Reply.json(error(refused == null ? "internal_error" : refused.code, message)) + "\n\n");
      } catch (IOException gone) {
        // And went away.
      }
    }
  }

  // ---- Documents ----------------------------------------------------------------------------

  private void addDocument(Context ctx) throws Exception {
    String title = ctx.queryParam("title");
    if (title == null || title.isBlank()) title = "document";
    int end = Math.min(title.length(), TITLE_CHARS);
    if (end < title.length() && Character.isHighSurrogate(title.charAt(end - 1))) end--;
    String shown = title.substring(0, end);
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder()
          .decode(ByteBuffer.wrap(body(ctx, options.maxDocumentBytes))).toString();
    } catch (CharacterCodingException wrong) {
      throw Refused.bad("the document is not UTF-8");
    }
    if (text.isBlank()) throw Refused.bad("the document is empty");
    String accepted = ctx.header("Accept");
    boolean events = accepted != null && accepted.contains("text/event-stream");
    reply(events ? new Reply.Events(ctx.res()) : new Reply.Whole(ctx.res()),
        reply -> read(shown, text, reply));
  }

  private void read(String title, String text, Reply reply)
      throws IOException, InterruptedException {
    int[] before = prompt.beforeDocument();
    Session session = newSession();
    try {
      if (before.length > 0) session.append(before);
      session.append(text);
    } catch (RuntimeException failure) {
      session.close();
      throw failure;
    }
    try (Job job = engine.submit(session, GenerationOptions.builder().maxTokens(0).build())) {
      GenerationEvent event = null;
      while (!(event instanceof Done)) {
        event = job.next(500);
        if (event instanceof Progress progress) {
          Map<String, Object> told = new LinkedHashMap<>();
          told.put("event", "progress");
          told.put("n_done", progress.nDone());
          told.put("n_total", progress.nTotal());
          reply.progress(told);
        } else {
          reply.stillHere();
        }
      }
      Snapshot snapshot = job.session.snapshot();
      Documents.Document document = documents.add(
          title, text, snapshot, before.length, job.session.info().nTokens());
      if (reply instanceof Reply.Events stream) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("event", "done");
        told.put("document", document);
        stream.send(Reply.json(told));
      } else {
        reply.write(Reply.json(document));
      }
    }
  }

  /** Ends what is running. */
  @Override
  public void close() {
    app.stop();
    engine.close();
    documents.close();
    model.close();
  }
}
