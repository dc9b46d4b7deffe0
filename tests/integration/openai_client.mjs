// The same as openai_client.py with OpenAI's client for JavaScript.
// node openai_client.mjs URL KEY FILE; run it in the folder that has node_modules.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "index.js"));
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")).href);
const { version } = JSON.parse(
  fs.readFileSync(path.join(process.cwd(), "node_modules/openai/package.json"), "utf8"),
);

const [url, key, file] = process.argv.slice(2);
const client = new OpenAI({ apiKey: key, baseURL: url, maxRetries: 1 });
const ask = (given = {}) =>
  client.audio.transcriptions.create({
    file: fs.createReadStream(file),
    model: "whisper-1",
    ...given,
  });

const found = { version };
found.json = (await ask()).text;
for (const name of ["text", "srt", "vtt"]) {
  found[name] = await ask({ response_format: name });
}
const verbose = await ask({
  response_format: "verbose_json",
  timestamp_granularities: ["word", "segment"],
});
found.verbose = {
  text: verbose.text,
  language: verbose.language,
  duration: Number(verbose.duration),
  segments: verbose.segments.map((one) => [one.start, one.end, one.text]),
  words: verbose.words.map((one) => [one.start, one.end, one.word]),
};
const deltas = [];
let done = null;
const stream = await ask({
  model: "gpt-4o-transcribe",
  stream: true,
  chunking_strategy: { type: "server_vad", threshold: 0.5 },
  hotwords: "Lingting",
});
for await (const event of stream) {
  if (event.type === "transcript.text.delta") deltas.push(event.delta);
  else done = event.text;
}
found.stream = { deltas, done };
found.models = [];
for await (const one of client.models.list()) found.models.push(one.id);

found.errors = {};
const told = (error) => [error.status, error.type, error.param ?? null, error.code];
const nothing = new File([Buffer.from("no audio at all".repeat(300))], "a.mp3");
for (const [name, given] of Object.entries({
  model: { model: "gpt-9" },
  format: { response_format: "xml" },
  file: { file: nothing },
})) {
  try {
    await ask(given);
  } catch (error) {
    found.errors[name] = told(error);
  }
}
try {
  await new OpenAI({ apiKey: "lk_wrong", baseURL: url, maxRetries: 0 }).models.list();
} catch (error) {
  found.errors.key = told(error);
}
console.log(JSON.stringify(found));
