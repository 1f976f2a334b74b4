from fake_models import models
from openai import OpenAI

with models() as address, OpenAI(api_key="none", base_url=address) as client:
    answer = client.chat.completions.create(
        model="model-1", messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.choices[0].message.content == "hello"
