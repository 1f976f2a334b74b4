"""The collector's skeleton: contract, configuration, registry, graph, delivery, run."""
