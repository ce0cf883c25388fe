"""What the clients ask, in OpenAI's words, with the tokens that the echo provider counts in it."""

from typing import Any

HELLO: list[Any] = [  # 4 tokens
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello, bakery!"},
]
GREETED = "You said: Hello, bakery!"  # 4


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def tool(name: str) -> Any:  # 10 each
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": "Of a city.", "parameters": city}}


WEATHER = tool("get_weather")
TIME = tool("get_time")
# 4, and the answer calls with 1 for the tool's name and 3 for its arguments
WEATHER_QUESTION = user("Weather in Paris? [[tools=1]]")
BOTH_QUESTION = user("Weather in Paris? [[tools=2]]")
WEATHER_ARGUMENTS = {"city": "Weather in Paris?"}

WEATHER_ANSWERED: list[Any] = [  # 3 + 2 + 3
    *user("Weather in Paris?"),
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 21 degrees"},
]
WEATHER_TOLD = "The tool said: Sunny, 21 degrees"  # 6

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
IMAGE_QUESTION = user(  # 3 + 85
    [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
)

TEXTS = ["Fresh bread", "Fresh bread every day"]  # to embed: 6 tokens
