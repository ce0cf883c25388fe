"""OpenAI's dialects into Anthropic's and back. Pure: values in, values out.

``chat`` is OpenAI's chat completions, ``messages`` Anthropic's messages, ``responses`` OpenAI's newer dialect. All
goes by chat completions. ``docs/dialects.md`` has the tables.

what is said    chat, messages_request, responses_request     what a request may hold
                completion, messages                           what is answered with
                claude, compatible                             what each model and provider accepts
                reasons, usage                                 why an answer ended, kinds of error, token counts

chat → Anthropic
                chat_to_messages                               the request: its fields
                ├── chat_turns, chat_tools                     its messages, its tools
                └── reasoning, schemas                         its effort, its JSON schemas
                messages_to_chat, messages_stream_to_chat      the answer, whole and streamed

messages → an OpenAI-compatible provider
                messages_request_to_chat                       the request: its fields
                └── messages_turns_to_chat                     its turns
                completion_to_messages, chunks_to_messages     the answer, whole and streamed
                messages_teller                                both, as a relay asks for them

responses → everybody else
                responses_request_to_chat                      the request
                response, chunks_to_responses                  the answer, whole and streamed
                responses_teller                               both, as a relay asks for them

                steps                                          chunks in order, one tool call after another
"""
