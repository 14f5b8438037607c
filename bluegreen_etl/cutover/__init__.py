"""The cut-over: its preflight checks, its plan and steps (pure), and the swap that runs them."""
