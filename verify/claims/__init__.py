"""What each theorem claims, as verdicts: one file a construction."""
