"""Phoenix's provider, a subclass of ours, and its default processor replaced by one of ours."""

import os

import phoenix.otel

import heliograph.sdk.trace

provider = phoenix.otel.register(
    endpoint=f"{os.environ['ENDPOINT']}/v1/traces",
    project_name="shop",
    headers={"authorization": "Bearer secret"},
    batch=True,
)
assert isinstance(provider, heliograph.sdk.trace.TracerProvider)


@provider.get_tracer("shop").chain
def pay(amount):
    return amount + 1


pay(3)
assert provider.force_flush()
processor = phoenix.otel.BatchSpanProcessor(
    endpoint=f"{os.environ['ENDPOINT']}/other/v1/traces", protocol="http/protobuf"
)
provider.add_span_processor(processor)
provider.get_tracer("shop").start_span("again").end()
assert provider.force_flush()
