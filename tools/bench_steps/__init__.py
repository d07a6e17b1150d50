"""What the benchmarks share: plans, runs, tuning, tables, pages."""
