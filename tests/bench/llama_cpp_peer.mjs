// One measurement of llama.cpp through node-llama-cpp's prebuilt CPU package, for llama_cpp.py. Prints a JSON line.
//   node llama_cpp_peer.mjs FOLDER MODEL LENGTH N_DECODE N_THREADS FLASH_ATTENTION(0|1) KV_TYPE
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";

const [folder, model, length, nDecode, nThreads, flash, kvType] = process.argv.slice(2);
const {getLlama, LlamaLogLevel} = await import(
    pathToFileURL(join(resolve(folder), "node_modules/node-llama-cpp/dist/index.js")));
const n = Number(length), most = Number(nDecode), threads = Number(nThreads);

const llama = await getLlama(
    {gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error});
const loaded = await llama.loadModel({modelPath: model});
const context = await loaded.createContext({
  contextSize: n + most + 16,
  threads: {ideal: threads, min: threads},
  batchSize: 512,
  flashAttention: flash === "1",
  experimentalKvCacheKeyType: kvType,
  experimentalKvCacheValueType: kvType,
});
const sequence = context.getSequence();

// Seconds that have gone by, and seconds of CPU time of all threads.
function now() {
  const cpu = process.cpuUsage();
  return {wall: performance.now() / 1e3, cpu: (cpu.user + cpu.system) / 1e6};
}
const between = (a, b) => ({wall: b.wall - a.wall, cpu: b.cpu - a.cpu});

// The ids that `reattn bench` reads.
const ids = [];
let state = 1n;
for (let i = 0; i < n; ++i) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  ids.push(Number((state >> 33n) % 49152n));
}
const begin = now();
await sequence.evaluateWithoutGeneratingNewTokens(ids);
const read = now();
let first = read, nTokens = 0;
for await (const _ of sequence.evaluate([5], {temperature: 0, yieldEogToken: true})) {
  if (nTokens++ === 0) first = now();
  if (nTokens > most) break;
}
console.log(JSON.stringify({
  prefill: between(begin, read), decode: between(first, now()), n_decode: nTokens - 1,
  threads: context.currentThreads}));
process.exit(0);
