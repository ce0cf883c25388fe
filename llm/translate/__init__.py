"""OpenAI's dialect into Anthropic's and back. Pure: values in, values out."""
