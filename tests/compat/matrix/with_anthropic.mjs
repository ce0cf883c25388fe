// Anthropic's SDK for Node.js. How it is called and what it prints: tests/compat/ran.py.

import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";

const [url, token, model] = process.argv.slice(2);
const baseURL = url.replace(/\/v1$/, "");
const asked = JSON.parse(readFileSync(0, "utf8"));

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = jsonSchemaOutputFormat({
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"],
});
const told = (name, answer) => betaTool({ name, description: "Of a city.", inputSchema: city, run: () => answer });
const get_weather = told("get_weather", "Sunny, 21 degrees");
const get_time = told("get_time", "Ten past noon");
const [instructions, greeting] = asked.hello.map((message) => message.content);

const cases = {
  answer: async (client) => {
    const message = await client.messages.create({ ...say(greeting), system: instructions });
    return { text: textOf(message), usage: [message.usage.input_tokens, message.usage.output_tokens] };
  },
  stream: async (client) => ({
    text: textOf(await client.messages.stream({ ...say(greeting), system: instructions }).finalMessage()),
  }),
  toolLoop: (client) => looped(client, { ...say(asked.both[0].content), tools: [get_weather, get_time] }),
  streamedToolLoop: (client) => looped(client, { ...say(asked.weather[0].content), tools: [get_weather], stream: true }),
  image: async (client) => {
    const [{ text }, { image_url }] = asked.image[0].content;
    const [, media_type, data] = image_url.url.match(/^data:(.*);base64,(.*)$/);
    const image = { type: "image", source: { type: "base64", media_type, data } };
    return { text: textOf(await client.messages.create(say([{ type: "text", text }, image]))) };
  },
  schema: async (client) => ({
    value: (await client.messages.parse({ ...say("Paris, please"), output_config: { format: weather } })).parsed_output,
  }),
  rateLimited: (client) =>
    client.withOptions({ maxRetries: 1 }).messages.create(say("[[status=429]] [[retry_after=3]]")),
  badRequest: (client) => client.messages.create(say("[[status=400]]")),
  badToken: (client) => client.withOptions({ apiKey: "vtl_agent_mistyped" }).messages.create(say("Hello")),
  cut: (client) => client.messages.stream(say("One two three [[cut=3]]")).finalMessage(),
};

function say(content) {
  return { model, max_tokens: 100, messages: [{ role: "user", content }] };
}

function textOf(message) {
  return message.content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");
}

// The SDK's own loop: it calls the tools, sends what they told, and goes on until there is an answer. Left alone it
// keeps the conversation in a thread at Anthropic, which nobody else has.
async function looped(client, body) {
  const messages = [];
  for await (const turn of client.beta.messages.toolRunner({ ...body, thread: false })) {
    messages.push(body.stream ? await turn.finalMessage() : turn);
  }
  const calls = messages.flatMap((message) => message.content).filter((block) => block.type === "tool_use");
  return { text: textOf(messages.at(-1)), calls: calls.map((call) => [call.name, call.input]) };
}

async function run(ask) {
  const requests = [];
  const watchedFetch = async (...request) => {
    const at = performance.now();
    const response = await fetch(...request);
    requests.push({ id: response.headers.get("request-id"), status: response.status, at });
    return response;
  };
  try {
    return { ...(await ask(new Anthropic({ baseURL, apiKey: token, fetch: watchedFetch }))), requests };
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    return { raised: error.constructor.name, requests };
  }
}

const ran = Object.entries(cases).map(async ([name, ask]) => [name, await run(ask)]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(ran))));
