"""The echo provider: a small server that speaks both dialects, repeats what it is told and counts tokens truly.

It stands in for every provider, for `make run` and for the tests. One server plays them all: the first segment of
the path chooses whose habits it has (``/groq/openai/v1/chat/completions``). How it behaves can be asked for in the
text itself (``[[delay=0.5]]``, see :mod:`.directives`), in an ``x-echo`` header, or by :meth:`.app.Echo.script`.

A token is a word: whatever stands between white space (:func:`.prompt.count`), so what a request must be charged
can be counted on one's fingers. Streams carry one word, so one token, a chunk.

Keys: any will do, but one that begins with ``bad`` is refused, with ``poor`` has no credit left, and with ``slow``
is rate limited. Models whose name begins with ``no-such`` don't exist.
"""
