from fake_models import models
from google import genai

with models() as address:
    client = genai.Client(api_key="none", http_options={"base_url": address})
    answer = client.models.generate_content(model="model-1", contents="hi")
    assert answer.text == "hello"
