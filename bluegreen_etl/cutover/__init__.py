"""The cut-over: who is in the way, what will be done (plan, pure), and doing it (swap)."""
