"""Histories as tokens: bandits, episodes, and the ridge problem of a bandit's past."""
