"""What the kill switch loads: neither ccxt nor Freqtrade."""
