// The page of the service: drop a document in, watch it being read, ask, see what was recalled.
"use strict";

const $ = (id) => document.getElementById(id);
const SHOWN = 160; // characters of a passage in the list
let documentText = "";
let answering = null; // an AbortController while an answer is streamed

function headers(more = {}) {
  const key = $("key").value;
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

function say(text) {
  $("status").textContent = text;
}

async function checked(response) {
  if (response.ok) return response;
  if (response.status === 401) $("key-label").hidden = false;
  let message = `status ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* no JSON: the status has to do */ }
  throw new Error(message);
}

// The data of each server-sent event of a response, as JSON; "[DONE]" ends it.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ") || part === "data: [DONE]") continue;
      const event = JSON.parse(part.slice(6));
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

async function listDocuments(selected) {
  const list = await (await checked(await fetch("/v1/documents", { headers: headers() }))).json();
  const options = list.data.sort((a, b) => b.created - a.created).map((each) =>
    new Option(`${each.title} (${each.end_token.toLocaleString()} tokens)`, each.id));
  $("documents").replaceChildren(...(options.length ? options : [new Option("none yet", "")]));
  if (selected) $("documents").value = selected;
  await showDocument();
}

async function showDocument() {
  answering?.abort(); // it is about another one
  const id = $("documents").value;
  for (const each of ["question", "send"]) $(each).disabled = !id;
  documentText = id
    ? await (await checked(await fetch(`/v1/documents/${id}/text`, { headers: headers() }))).text()
    : "";
  $("answer").textContent = "";
  showPassages([]);
}

async function read(file) {
  $("reading").hidden = false;
  $("progress").value = 0;
  $("progress-text").textContent = "sending";
  try {
    const response = await checked(await fetch(`/v1/documents?title=${encodeURIComponent(file.name)}`,
      { method: "POST", body: file,
        headers: headers({ Accept: "text/event-stream", "Content-Type": "text/plain" }) }));
    for await (const event of events(response)) {
      if (event.event === "progress") {
        $("progress").value = event.n_done / event.n_total;
        $("progress-text").textContent =
          `${event.n_done.toLocaleString()} of ${event.n_total.toLocaleString()} tokens`;
      } else {
        await listDocuments(event.document.id);
        say(`${file.name} is read`);
      }
    }
  } catch (failure) {
    say(`${file.name} was not read: ${failure.message}`);
  } finally {
    $("reading").hidden = true;
  }
}

async function ask(question) {
  answering = new AbortController();
  $("send").hidden = true;
  $("stop").hidden = false;
  $("answer").textContent = "";
  showPassages([]);
  say("reading the question");
  try {
    const response = await checked(await fetch("/v1/chat/completions", {
      method: "POST", signal: answering.signal,
      headers: headers({ "Content-Type": "application/json" }),
      body: JSON.stringify({ stream: true, temperature: 0, document: $("documents").value,
        messages: [{ role: "user", content: question }] }) }));
    for await (const event of events(response)) {
      $("answer").append(event.choices[0].delta.content ?? "");
      if (event.choices[0].finish_reason) {
        showPassages(event.recalled ?? []);
        say(`${(event.recalled ?? []).length} passages recalled`);
      }
    }
  } catch (failure) {
    say(failure.name === "AbortError" ? "stopped" : failure.message);
  } finally {
    answering = null;
    $("send").hidden = false;
    $("stop").hidden = true;
  }
}

// The document with its recalled passages marked, their places on the strip, and the list of them.
function showPassages(passages) {
  const inOrder = [...passages].sort((a, b) => a.begin - b.begin);
  const pieces = [];
  const marks = new Map();
  let at = 0;
  for (const passage of inOrder) {
    pieces.push(documentText.slice(at, passage.begin));
    const mark = document.createElement("mark");
    mark.textContent = documentText.slice(passage.begin, passage.end);
    pieces.push(mark);
    marks.set(passage, mark);
    at = passage.end;
  }
  pieces.push(documentText.slice(at));
  $("text").replaceChildren(...pieces);

  const button = (passage, content) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = content;
    made.title = `${passage.votes} votes`;
    made.addEventListener("click", () => marks.get(passage).scrollIntoView({ block: "center" }));
    return made;
  };
  $("strip").replaceChildren(...passages.map((passage) => {
    const made = button(passage, "");
    made.setAttribute("aria-label", `passage at character ${passage.begin}`);
    made.style.top = `${100 * passage.begin / documentText.length}%`;
    made.style.height = `${100 * (passage.end - passage.begin) / documentText.length}%`;
    return made;
  }));
  $("passages").replaceChildren(...passages.map((passage) => {
    const item = document.createElement("li");
    const line = passage.text.replace(/\s+/g, " ").trim() || "(blank)";
    item.append(button(passage, line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line));
    return item;
  }));
}

$("file").addEventListener("change", (event) => {
  if (event.target.files[0]) read(event.target.files[0]);
  event.target.value = "";
});
$("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") $("file").click();
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
  });
}
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!answering && $("question").value.trim()) ask($("question").value);
});
$("stop").addEventListener("click", () => answering?.abort());
$("documents").addEventListener("change", () => showDocument().catch((e) => say(e.message)));
$("key").addEventListener("change", () => listDocuments().catch((e) => say(e.message)));
listDocuments().catch((failure) => say(failure.message));
