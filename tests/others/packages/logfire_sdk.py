"""Logfire: its wrapped providers, pending spans, and exporters over its own session."""

import os

import logfire

logfire.configure(
    token="pylf_v1_local_token",
    service_name="shop",
    console=False,
    inspect_arguments=False,
    advanced=logfire.AdvancedOptions(base_url=os.environ["ENDPOINT"]),
)
with logfire.span("pay {amount}", amount=3):
    logfire.info("paid", by="card")
    try:
        with logfire.span("fail"):
            raise ValueError("no money")
    except ValueError:
        pass
logfire.metric_counter("payments").add(1)
assert logfire.force_flush()
logfire.shutdown()
