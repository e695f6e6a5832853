package org.reattn.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Supplier;
import org.reattn.Done;
import org.reattn.DoneReason;
import org.reattn.Generation;
import org.reattn.GenerationEvent;
import org.reattn.Progress;
import org.reattn.RecallScope;
import org.reattn.Session;
import org.reattn.Token;

/** Chat completions in OpenAI's format, whole or streamed, with the passages that were recalled. */
final class Answers {
  private static final long WAIT_MS = 500;
  private static final int PASSAGES = 32;

  private final Engine engine;
  private final Documents documents;
  private final Prompt prompt;
  private final String modelName;
  private final Supplier<Session> newSession;

  Answers(Engine engine, Documents documents, Prompt prompt, String modelName,
      Supplier<Session> newSession) {
    this.engine = engine;
    this.documents = documents;
    this.prompt = prompt;
    this.modelName = modelName;
    this.newSession = newSession;
  }

  /** Writes the answer to {@code reply}; an IOException says that nobody reads it any more. */
  void answer(ChatRequest request, Reply reply) throws IOException, InterruptedException {
    Documents.Document document = request.document() == null ? null
        : documents.find(request.document()).orElseThrow(Documents::unknown);
    Session session = document == null ? newSession.get() : documents.session(document);
    try {
      session.append(document == null ? prompt.conversation(request.messages())
          : prompt.question(request.messages()));
    } catch (RuntimeException failure) {
      session.close();
      throw failure;
    }
    long before = session.info().nTokens() + session.info().nPending();
    try (Job job = engine.submit(session, request.options())) {
      new Writing(request, reply, document, job, before).run();
    }
  }

  /** One answer. */
  private final class Writing {
    private final ChatRequest request;
    private final Reply reply;
    private final Documents.Document document;
    private final Job job;
    private final long promptTokens;
    private final String id = "chatcmpl-" + UUID.randomUUID();
    private final long created = System.currentTimeMillis() / 1000;
    private final StringBuilder text = new StringBuilder();
    private long nTokens;

    Writing(ChatRequest request, Reply reply, Documents.Document document, Job job,
        long promptTokens) {
      this.request = request;
      this.reply = reply;
      this.document = document;
      this.job = job;
      this.promptTokens = promptTokens;
    }

    void run() throws IOException, InterruptedException {
      Done done = null;
      while (done == null) {
        GenerationEvent event = job.next(WAIT_MS);
        if (event == null || event instanceof Progress) {
          reply.stillHere();
        } else if (event instanceof Token token) {
          nTokens++;
          piece(token.text());
        } else {
          done = (Done) event;
          piece(done.text());
        }
      }
      String reason = done.reason() == DoneReason.LENGTH || done.reason() == DoneReason.FULL
          ? "length" : "stop";
      if (reply instanceof Reply.Events events) {
        Map<String, Object> last = chunk(Map.of(), reason);
        if (document != null) last.put("recalled", recalled());
        events.send(Reply.json(last));
        if (request.includeUsage()) {
          Map<String, Object> usage = head("chat.completion.chunk");
          usage.put("choices", List.of());
          usage.put("usage", usage());
          events.send(Reply.json(usage));
        }
        events.send("[DONE]");
      } else {
        Map<String, Object> whole = head("chat.completion");
        whole.put("choices", List.of(Map.of("index", 0, "finish_reason", reason,
            "message", Map.of("role", "assistant", "content", text.toString()))));
        whole.put("usage", usage());
        if (document != null) whole.put("recalled", recalled());
        reply.write(Reply.json(whole));
      }
    }

    private void piece(String piece) throws IOException {
      if (!(reply instanceof Reply.Events events)) {
        text.append(piece);
        reply.stillHere();
      } else if (piece.isEmpty()) {
        events.stillHere();
      } else {
        Map<String, Object> delta = new LinkedHashMap<>();
        if (text.length() == 0) delta.put("role", "assistant");
        delta.put("content", piece);
        text.append(piece);
        events.send(Reply.json(chunk(delta, null)));
      }
    }

    private Map<String, Object> head(String object) {
      Map<String, Object> head = new LinkedHashMap<>();
      head.put("id", id);
      head.put("object", object);
      head.put("created", created);
      head.put("model", modelName);
      return head;
    }

    private Map<String, Object> chunk(Map<String, Object> delta, String reason) {
      Map<String, Object> choice = new LinkedHashMap<>();
      choice.put("index", 0);
      choice.put("delta", delta);
      choice.put("finish_reason", reason);
      Map<String, Object> chunk = head("chat.completion.chunk");
      chunk.put("choices", List.of(choice));
      return chunk;
    }

    private Map<String, Object> usage() {
      return Map.of("prompt_tokens", promptTokens, "completion_tokens", nTokens,
          "total_tokens", promptTokens + nTokens);
    }

    private List<Passages.Passage> recalled() {
      return Passages.of(job.session, document, documents.text(document),
          job.generation().recalled(Generation.ALL_LAYERS, RecallScope.ANSWER), PASSAGES);
    }
  }
}
