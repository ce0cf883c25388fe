"""Answers on their way back. See :class:`llm.providers.base.Relay` for what each of these does.

passing                   what answers have in common that reach the caller unchanged, while usage is read off a copy
├── chat                  OpenAI's chat completions
├── responses             OpenAI's responses
├── embeddings            OpenAI's embeddings
└── messages              Anthropic's messages
"""
