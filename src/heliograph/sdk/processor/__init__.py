"""The official distribution's processors that are packages of their own."""
