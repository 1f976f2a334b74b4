"""`heliograph bootstrap`: the instrumentations that fit what is installed."""
