"""What ``bitopro-margin init`` writes: a config for Freqtrade and a strategy to start from."""
