from fake_models import models
from langchain_openai import ChatOpenAI

with models() as address:
    chat = ChatOpenAI(model="model-1", api_key="none", base_url=address, use_responses_api=False)
    assert chat.invoke("hi").content == "hello"
