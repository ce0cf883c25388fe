// OpenAI's SDK for Node.js. Asks everything at once and prints what came of it, as JSON by case:
//   node openai.mjs BASE_URL TOKEN MODEL < questions.json

import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const { hello, weather, both, answered, image, tools, texts } = JSON.parse(readFileSync(0, "utf8"));

const say = (content) => [{ role: "user", content }];

const cases = {
  answer: (client) => whole(client, { messages: hello }),
  stream: (client) => streamed(client, { messages: hello }),
  streamWithUsage: (client) => streamed(client, { messages: hello, stream_options: { include_usage: true } }),
  toolCall: (client) => whole(client, { messages: weather, tools: tools.slice(0, 1) }),
  streamedToolCall: (client) => assembled(client, { messages: weather, tools: tools.slice(0, 1) }),
  twoToolCalls: (client) => whole(client, { messages: both, tools }),
  streamedTwoToolCalls: (client) => assembled(client, { messages: both, tools }),
  toolResult: (client) => whole(client, { messages: answered, tools: tools.slice(0, 1) }),
  image: (client) => whole(client, { messages: image }),
  schema: (client) => whole(client, { messages: say("Paris, please"), response_format: weatherFormat }),
  models: async (client) => ({ models: (await client.models.list()).data.map((found) => found.id) }),
  embeddings: async (client) => {
    const { data } = await client.embeddings.create({ model: "mistral-embed", input: texts });
    return { lengths: data.map((each) => each.embedding.length) };
  },
  badToken: (client) => whole(client.withOptions({ apiKey: "vtl_agent_mistyped" }), { messages: hello }),
  badRequest: (client) => whole(client, { messages: say("[[status=400]]") }),
  rateLimited: (client) =>
    whole(client.withOptions({ maxRetries: 1 }), { messages: say("[[status=429]] [[retry_after=1]]") }),
  cut: (client) => streamed(client, { messages: say("One two three [[cut=3]]") }),
};

const weatherFormat = {
  type: "json_schema",
  json_schema: {
    name: "weather",
    strict: true,
    schema: {
      type: "object",
      properties: { city: { type: "string" }, degrees: { type: "integer" } },
      required: ["city", "degrees"],
      additionalProperties: false,
    },
  },
};

async function whole(client, body) {
  const answer = await client.chat.completions.create({ model, ...body });
  return { ...told(answer), usage: [answer.usage.prompt_tokens, answer.usage.completion_tokens] };
}

async function streamed(client, body) {
  const found = { text: "", finish: null, usage: null };
  for await (const chunk of await client.chat.completions.create({ model, stream: true, ...body })) {
    const usage = chunk.usage ?? chunk.x_groq?.usage;
    found.text += chunk.choices[0]?.delta.content ?? "";
    found.finish = chunk.choices[0]?.finish_reason ?? found.finish;
    found.usage = usage ? [usage.prompt_tokens, usage.completion_tokens] : found.usage;
  }
  return found;
}

// The SDK's own way of putting a stream together.
async function assembled(client, body) {
  return told(await client.chat.completions.stream({ model, ...body }).finalChatCompletion());
}

function told(completion) {
  const [{ message, finish_reason }] = completion.choices;
  const calls = (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
  return { text: message.content, calls, finish: finish_reason };
}

async function run(ask) {
  const requests = [];
  const watchedFetch = async (...request) => {
    const at = performance.now();
    const response = await fetch(...request);
    requests.push({ id: response.headers.get("x-request-id"), status: response.status, at });
    return response;
  };
  try {
    return { ...(await ask(new OpenAI({ baseURL, apiKey, fetch: watchedFetch }))), requests };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { raised: error.constructor.name, code: error.code, message: error.message, requests };
  }
}

const ran = Object.entries(cases).map(async ([name, ask]) => [name, await run(ask)]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(ran))));
