"""`heliograph doctor`: what would be instrumented and sent where, and what stands in the way."""
