"""OpenAI's dialect into Anthropic's and back. Pure: values in, values out.

``chat`` is OpenAI's chat completions, ``messages`` Anthropic's messages; ``chat_to_messages`` turns a request of the
first into one of the second, ``messages_to_chat`` an answer of the second into one of the first.

chat                      what a chat completion request may hold
claude                    what each generation of Claude accepts
reasons, usage            the tables both directions share: why an answer ended, kinds of error, token counts
chat_to_messages          the request: its fields
├── chat_turns            its messages, parts and tool results
├── chat_tools            its tools, and JSON answers
├── reasoning             its effort: thinking
└── schemas               JSON schemas
messages_to_chat          the whole answer
messages_stream_to_chat   the streamed answer
"""
