"""The parts of bench/surplus: what owners do, what the pool does, what goes wrong, and what is counted."""
