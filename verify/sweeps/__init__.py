"""How error, depth and size change with the specification."""
