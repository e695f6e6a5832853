"""The official openai client against a running service: openai_client_test.py URL (openai 1.58.1)."""

import sys
import urllib.request
import json

import openai

URL = sys.argv[1].rstrip("/")
DOCUMENT = "The north door opens with 4711, the south door with 9032.\n" * 30
QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which door? 🐟"}]


def main():
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    options = {"model": model, "messages": QUESTION, "max_tokens": 16, "temperature": 0}

    whole = client.chat.completions.create(**options)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason in ("length", "stop")
    assert 0 < whole.usage.completion_tokens <= 16

    streamed, usage = "", None
    for chunk in client.chat.completions.create(
            **options, stream=True, stream_options={"include_usage": True}):
        if chunk.choices:
            streamed += chunk.choices[0].delta.content or ""
        usage = chunk.usage or usage
    assert streamed == text, (streamed, text)
    assert usage.completion_tokens == whole.usage.completion_tokens

    added = json.load(urllib.request.urlopen(
        urllib.request.Request(f"{URL}/v1/documents", data=DOCUMENT.encode())))
    about = client.chat.completions.create(**options, extra_body={"document": added["id"]})
    assert about.recalled, about
    for passage in about.recalled:
        assert DOCUMENT[passage["begin"]:passage["end"]] == passage["text"]

    for wrong, kind in (({"model": "gpt"}, openai.NotFoundError),
                        ({"max_tokens": 0}, openai.BadRequestError),
                        ({"n": 2}, openai.BadRequestError),
                        ({"extra_body": {"document": "../x"}}, openai.NotFoundError)):
        try:
            client.chat.completions.create(**{**options, **wrong})
        except kind as refused:
            assert refused.body["message"]
        else:
            raise AssertionError(f"{wrong} was taken")
    print("the openai client is served")


if __name__ == "__main__":
    main()
