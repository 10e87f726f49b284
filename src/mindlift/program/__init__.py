"""Any program with its data and results in a bucket: `mindlift run`. See docs/run.md."""
