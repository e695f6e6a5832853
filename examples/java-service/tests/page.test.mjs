// The page in Chromium: a document is dropped in, read and asked; passages are marked.
//   SERVICE_URL: a running service; CHROMIUM: the browser; SCREENSHOTS: a folder, to keep pictures
import assert from "node:assert/strict";
import { before, after, test } from "node:test";
import { chromium } from "playwright-core";

const url = process.env.SERVICE_URL ?? "http://127.0.0.1:8080";
const shots = process.env.SCREENSHOTS;
const text = Array.from({ length: 60 }, (_, i) =>
  `Entry ${i}: Zoë 🐟 came with ${i * 7 + 3} barrels, and the north door opens with ${4700 + i}.\n`)
  .join("");

let browser, page;
const errors = [];

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", timeout: 180_000,
    args: ["--no-sandbox", "--disable-dev-shm-usage"] }); // containers have little of that
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(180_000); // what is waited for comes, on a busy machine late
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(url);
});

after(async () => {
  await browser?.close();
});

async function drop(name, content) {
  const transfer = await page.evaluateHandle(([name, content]) => {
    const made = new DataTransfer();
    made.items.add(new File([content], name, { type: "text/plain" }));
    return made;
  }, [name, content]);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
}

test("a document is read, with progress", async () => {
  const seen = page.evaluate(() => new Promise((resolve) => {
    const texts = []; // each of them, also where several came at once
    new MutationObserver((records) => records.forEach((record) =>
      record.addedNodes.forEach((node) => texts.push(node.data))))
      .observe(document.getElementById("progress-text"), { childList: true });
    new MutationObserver(() => resolve(texts))
      .observe(document.getElementById("status"), { childList: true });
  }));
  await drop("ledger <b>.txt", text);
  const [first, ...told] = await seen;
  assert.equal(first, "sending");
  const values = told.map((each) => each.match(/^(.+) of (.+) tokens$/).slice(1).map((number) =>
    Number(number.replaceAll(",", ""))));
  assert.ok(values.length > 5, `progress ${told}`);
  assert.ok(values.every(([done], i) => i === 0 || done >= values[i - 1][0]), `progress ${told}`);
  assert.equal(...values.at(-1));
  assert.equal(await page.evaluate(() => document.getElementById("progress").value), 1);
  assert.equal(await page.textContent("#status"), "ledger <b>.txt is read");
  assert.equal(await page.textContent("#text"), text);
  assert.match(await page.textContent("#documents option:checked"), /^ledger <b>\.txt \(/);
});

test("an answer streams, and shows what it recalled", async () => {
  await page.fill("#question", "Which door? <img src=x>");
  await page.click("#send");
  await page.waitForSelector("#strip button");
  assert.ok((await page.textContent("#answer")).length > 0);
  const marks = await page.$$eval("mark", (all) => all.map((each) => each.textContent));
  const listed = await page.$$eval("#passages button", (all) => all.map((each) => each.textContent));
  assert.ok(marks.length > 0 && marks.length === listed.length, `${marks.length} ${listed.length}`);
  assert.equal(await page.textContent("#text"), text, "the text is the same with marks in it");
  for (const mark of marks) assert.ok(text.includes(mark));
  const tops = await page.$$eval("#strip button", (all) => all.map((each) => parseFloat(each.style.top)));
  assert.ok(tops.every((top) => top >= 0 && top <= 100) && new Set(tops).size > 1, `${tops}`);
  await page.click("#passages li:last-child button");
  if (shots) await page.screenshot({ path: `${shots}/java-service.png` });
});

test("another document is another text", async () => {
  await drop("second.txt", "Only tea and oranges here.");
  await page.waitForFunction(() => document.getElementById("text").textContent.startsWith("Only"));
  assert.equal(await page.locator("mark").count(), 0);
});

test("another document ends the answer that streams", async () => {
  await page.route("**/v1/chat/completions", () => {}); // an answer that never comes
  await page.fill("#question", "Which door?");
  await page.click("#send");
  await page.waitForSelector("#stop", { state: "visible" });
  const other = await page.getAttribute("#documents option:not(:checked)", "value");
  await page.selectOption("#documents", other);
  await page.waitForSelector("#send", { state: "visible" });
  assert.equal(await page.textContent("#status"), "stopped");
  await page.unroute("**/v1/chat/completions");
});

test("a document that is refused says why", async () => {
  await drop("empty.txt", " ");
  await page.waitForFunction(() => /empty/.test(document.getElementById("status").textContent));
  assert.equal(await page.textContent("#status"), "empty.txt was not read: the document is empty");
});

test("nothing went wrong in the page", () => {
  const refused = (each) => each.includes("400"); // the empty document
  assert.deepEqual(errors.filter((each) => !refused(each)), []);
});
