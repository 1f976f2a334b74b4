"""The parts of the `prometheus` exporter: names, state, expositions, negotiation."""
