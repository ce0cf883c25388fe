// Vercel's AI SDK in the dialect of the first argument: chat, responses, messages. The rest: tests/compat/ran.py.

import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import {
  APICallError,
  RetryError,
  embedMany,
  generateObject,
  generateText,
  jsonSchema,
  stepCountIs,
  streamText,
  tool,
} from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false; // they go where the answer does
const [dialect, baseURL, token, modelName] = process.argv.slice(2);
const asked = JSON.parse(readFileSync(0, "utf8"));

const city = jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] });
const weather = jsonSchema({
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"],
  additionalProperties: false,
});
const get_weather = tool({ description: "Of a city.", inputSchema: city, execute: async () => "Sunny, 21 degrees" });
const get_time = tool({ description: "Of a city.", inputSchema: city, execute: async () => "Ten past noon" });
// It doesn't trust models of other makers with a schema, unless told that they can.
const providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } };
const stopWhen = stepCountIs(3);
const [instructions, greeting] = asked.hello.map((message) => message.content);

const cases = {
  answer: async (model) => {
    const { text, usage } = await generateText({ model, system: instructions, prompt: greeting });
    return { text, usage: [usage.inputTokens, usage.outputTokens] };
  },
  stream: async (model) => ({ text: await streamText({ model, system: instructions, prompt: greeting }).text }),
  toolLoop: async (model) => {
    const prompt = asked.both[0].content;
    return looped(await generateText({ model, prompt, tools: { get_weather, get_time }, stopWhen }));
  },
  streamedToolLoop: async (model) => {
    const ran = streamText({ model, prompt: asked.weather[0].content, tools: { get_weather }, stopWhen });
    return looped({ text: await ran.text, steps: await ran.steps });
  },
  image: async (model) => {
    const [{ text }, { image_url }] = asked.image[0].content;
    const content = [{ type: "text", text }, { type: "image", image: image_url.url }];
    return { text: (await generateText({ model, messages: [{ role: "user", content }] })).text };
  },
  schema: async (model) => ({
    value: (await generateObject({ model, schema: weather, prompt: "Paris, please", providerOptions })).object,
  }),
  rateLimited: (model) => generateText({ model, prompt: "[[status=429]] [[retry_after=3]]", maxRetries: 1 }),
  badRequest: (model) => generateText({ model, prompt: "[[status=400]]" }),
  badToken: (_model, open) => generateText({ model: open("vtl_agent_mistyped"), prompt: "Hello" }),
  cut: async (model) => {
    const { fullStream } = streamText({ model, prompt: "One two three [[cut=3]]", onError: () => {} });
    for await (const part of fullStream) if (part.type === "error") return { raised: part.error.message };
  },
};

if (dialect !== "messages") {
  cases.embeddings = async (_model, _open, provider) => {
    const model = provider.embeddingModel("mistral-embed");
    const { embeddings } = await embedMany({ model, values: asked.texts, maxRetries: 0 });
    return { lengths: embeddings.map((vector) => vector.length) };
  };
}

function looped({ text, steps }) {
  return { text, calls: steps.flatMap((step) => step.toolCalls).map((call) => [call.toolName, call.input]) };
}

async function run(ask) {
  const requests = [];
  const watchedFetch = async (...request) => {
    const at = performance.now();
    const response = await fetch(...request);
    requests.push({ id: response.headers.get("x-request-id") ?? response.headers.get("request-id"), status: response.status, at });
    return response;
  };
  const create = dialect === "messages" ? createAnthropic : createOpenAI;
  const provider = (apiKey) => create({ baseURL, apiKey, fetch: watchedFetch });
  const open = (apiKey) => provider(apiKey)[dialect](modelName);
  try {
    return { ...(await ask(open(token), open, provider(token))), requests };
  } catch (error) {
    if (!APICallError.isInstance(error) && !RetryError.isInstance(error)) throw error;
    const { name, statusCode } = error.lastError ?? error;
    return { raised: `${name} ${statusCode}`, requests };
  }
}

const ran = Object.entries(cases).map(async ([name, ask]) => [name, await run(ask)]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(ran))));
