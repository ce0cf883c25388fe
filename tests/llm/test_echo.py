import openai


def test_alex_hears_himself(echo):
    client = openai.OpenAI(base_url=echo.url("openai"), api_key="sk-alex", max_retries=0)
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello there"}])
    assert answer.choices[0].message.content == "You said: Hello there"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)
    [received] = echo.requests()
    assert (received.outcome, received.provider) == ("answered", "openai")
