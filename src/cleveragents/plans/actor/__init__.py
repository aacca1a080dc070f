"""What decides the next call: script, program, model."""
