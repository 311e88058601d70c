"""Speed, measured: ``python -m tests.benchmarks`` prints one table, each ratio from one run."""
