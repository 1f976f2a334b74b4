from agents import Agent, OpenAIChatCompletionsModel, Runner
from fake_models import models
from openai import AsyncOpenAI

with models() as address:
    client = AsyncOpenAI(api_key="none", base_url=address)
    model = OpenAIChatCompletionsModel(model="model-1", openai_client=client)
    answer = Runner.run_sync(Agent(name="helper", instructions="Help.", model=model), "hi")
    assert answer.final_output == "hello"
