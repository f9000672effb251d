"""Reports, pages and figures."""
