"""What the signals share."""
