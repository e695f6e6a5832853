// The official openai client for Node against a running service.
//   SERVICE_URL: where it listens
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const url = (process.env.SERVICE_URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const document = "The north door opens with 4711, the south door with 9032.\n".repeat(30);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const question = {
  model, max_tokens: 16, temperature: 0,
  messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Which door? 🐟" }],
};

test("an answer is the same whole and streamed", async () => {
  const whole = await client.chat.completions.create(question);
  const text = whole.choices[0].message.content;
  assert.ok(text.length > 0);
  assert.match(whole.choices[0].finish_reason, /^(length|stop)$/);
  assert.ok(whole.usage.completion_tokens > 0 && whole.usage.completion_tokens <= 16);

  let streamed = "", usage = null;
  const stream = await client.chat.completions.create(
    { ...question, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(streamed, text);
  assert.deepEqual(usage, whole.usage);
});

test("a document is asked about, and its passages come with the answer", async () => {
  const added = await client.post("/documents", {
    body: document, headers: { "Content-Type": "text/plain" } });
  const about = { ...question, document: added.id };
  const { recalled } = await client.chat.completions.create(about);
  assert.ok(recalled.length > 0);
  for (const passage of recalled) {
    assert.equal(document.slice(passage.begin, passage.end), passage.text);
  }
  let last;
  for await (const chunk of await client.chat.completions.create({ ...about, stream: true })) {
    last = chunk;
  }
  assert.deepEqual(last.recalled, recalled);
});

test("a stream may be left", async () => {
  const stream = await client.chat.completions.create({ ...question, max_tokens: 1000, stream: true });
  for await (const chunk of stream) {
    assert.equal(chunk.object, "chat.completion.chunk");
    break; // the client aborts the request
  }
  assert.ok((await client.chat.completions.create(question)).choices.length > 0);
});

test("what is refused is an error of its kind", async () => {
  for (const [wrong, kind] of [
    [{ model: "gpt" }, OpenAI.NotFoundError], [{ max_tokens: 0 }, OpenAI.BadRequestError],
    [{ n: 2 }, OpenAI.BadRequestError], [{ document: "../x" }, OpenAI.NotFoundError]]) {
    await assert.rejects(client.chat.completions.create({ ...question, ...wrong }), (error) =>
      error instanceof kind && error.message.length > 0);
  }
});
