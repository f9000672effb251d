"""What a trained model does inside, and outside of its training."""
