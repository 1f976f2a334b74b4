from anthropic import Anthropic
from fake_models import models

with models() as address, Anthropic(api_key="none", base_url=address) as client:
    answer = client.messages.create(
        model="model-1", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.content[0].text == "hello"
