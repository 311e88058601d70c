"""Speed, measured: ``python -m tests.bench`` prints one table, each ratio from one run."""
