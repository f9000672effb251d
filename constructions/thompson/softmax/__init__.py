"""Thompson sampling with softmax attention: two arms (two_arms.py, plan.py), and the sampling form (sampling.py)."""
