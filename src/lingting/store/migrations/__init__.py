"""How older databases become today's: one module in ``versions`` for each step, never changed."""
