"""Langfuse: its span processor and exporter, on the provider that it makes of ours."""

import os

from langfuse import Langfuse, observe
from opentelemetry import trace

import heliograph.sdk.trace

client = Langfuse(public_key="public", secret_key="secret", base_url=os.environ["ENDPOINT"])


@observe()
def pay(amount):
    with client.start_as_current_observation(name="ask", as_type="generation", model="m") as asked:
        asked.update(output="yes", usage_details={"input": 3})
    return amount + 1


pay(3)
assert type(trace.get_tracer_provider()) is heliograph.sdk.trace.TracerProvider
client.flush()
client.shutdown()
