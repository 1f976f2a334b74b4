from opentelemetry import metrics

metrics.get_meter("shop").create_counter("sold").add(1)
